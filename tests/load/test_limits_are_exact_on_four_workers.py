"""64 callers in one moment, four gunicorn workers, each kind of store: never one token too many or too few.

One broker serves all tests of a kind. Each test uses its own users, and begins without open sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import MakeBroker
from tests.support.counts import wrong_counts
from tests.support.four_workers import (
    CALLERS,
    CEILING,
    MANY_CALLERS,
    ROUNDS,
    Service,
    codes,
    four_workers_on,
    opened,
    play,
)  # fmt: skip
from tests.support.stores import STORES, Stores


@pytest.fixture(scope="module", params=STORES)
def four_workers(
    request: pytest.FixtureRequest, stores: Stores, make_broker: MakeBroker
) -> Iterator[Service]:
    with four_workers_on(stores.migrated(request.param).environ, make_broker) as running:
        yield running


@pytest.fixture
def service(four_workers: Service) -> Service:
    four_workers.reset()
    return four_workers


def test_rate_of_ten_a_minute_grants_exactly_ten(service: Service) -> None:
    outcomes = service.at_once([service.new_user("ten")])
    assert codes(outcomes) == {"ok": 10, "rate-limited": CALLERS - 10}
    assert len({outcome.token for outcome in outcomes if outcome.code == "ok"}) == 10
    assert service.mints() == 10


def test_user_gets_exactly_the_sessions_of_an_override(service: Service) -> None:
    name = service.new_user()
    service.limits.set(name, {"sessions": 3})
    for _ in range(3):
        outcomes = service.at_once([name])
        assert codes(outcomes) == {"ok": 3, "too-many-sessions": CALLERS - 3}
        assert len(opened(outcomes)) == 3
        service.end(opened(outcomes))


def test_user_gets_exactly_the_minutes_of_an_override(service: Service) -> None:
    name = service.new_user()
    service.limits.set(name, {"minutes_per_day": 65})
    outcomes = service.at_once([name])
    assert codes(outcomes) == {"ok": 5, "minutes-exhausted": CALLERS - 5}, (
        "four slices of 15 minutes, one of 5"
    )
    with service.broker.client(name) as client:
        assert client.get("/me").json()["limits"]["minutes_per_day"] == {"limit": 65, "used": 65}


def test_all_users_together_get_exactly_the_sessions_of_the_project(service: Service) -> None:
    users = [service.new_user() for _ in range(4)]
    for _ in range(3):
        outcomes = service.at_once(users)
        assert codes(outcomes) == {"ok": CEILING, "project-capacity": CALLERS - CEILING}
        service.end(opened(outcomes))


@pytest.mark.parametrize(
    ("limits", "granted", "refusal"),
    [
        ({"rate": "7/minute"}, 7, "rate-limited"),
        ({"sessions": 3}, 3, "too-many-sessions"),
        ({"minutes_per_day": 65}, 5, "minutes-exhausted"),
    ],
)
def test_members_of_a_team_share_exactly_its_limits(
    service: Service, limits: dict[str, Any], granted: int, refusal: str
) -> None:
    members = service.new_team(**limits)
    outcomes = service.at_once(members, MANY_CALLERS)
    assert codes(outcomes) == {"ok": granted, refusal: MANY_CALLERS - granted}
    assert len(opened(outcomes)) == service.mints() == granted
    if refusal == "too-many-sessions":  # a place that comes back is there again
        service.end(opened(outcomes))
        again = service.at_once(members, MANY_CALLERS)
        assert codes(again) == codes(outcomes)
    assert wrong_counts(service.broker.database) == []


def test_changed_limit_applies_to_next_request_of_every_worker(service: Service) -> None:
    name = service.new_user()
    with service.broker.client(name) as client:
        for sessions in (5, 7, 9):
            service.limits.set(name, {"sessions": sessions})
            limits = []
            for _ in range(12):  # each on its own connection, so that every worker answers some
                answer = client.get("/me", headers={"Connection": "close"}).json()
                limits.append(answer["limits"]["sessions"]["limit"])
            assert limits == [sessions] * 12


def test_sixteen_requests_with_one_idempotency_key_are_one_request(service: Service) -> None:
    """One session, one mint, one charge."""
    service.standin.control.scenario("mint-slow", seconds=0.3)
    name = service.new_user()
    for number in (1, 2):
        outcomes = service.at_once([name], 16, **{"Idempotency-Key": f"{name}-{number}"})
        assert codes(outcomes) == {"ok": 16}
        assert len({(outcome.session, outcome.token) for outcome in outcomes}) == 1
        with service.broker.client(name) as client:
            limits = client.get("/me").json()["limits"]
        assert limits["sessions"]["open"] == number
        assert limits["minutes_per_day"]["used"] == 15 * number
        assert limits["rate"][0]["remaining"] == 1000 - number
        assert service.mints() == number


@pytest.mark.measured
@pytest.mark.long
def test_no_place_is_lost_from_one_round_to_the_next(service: Service) -> None:
    """Each round is a burst at one of three limits, and the next round at the next one.

    The same users ask in every round, so a place that one round does not give back is missing in the next.
    """
    granted = asyncio.run(play(service, ROUNDS))
    assert service.mints() == granted
