"""The same limits with tokens that are minted ahead: never one too many or too few, never a token twice.

A warm token is charged for up to 20 s more. Four of them and the rest are 65 minutes, as without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import func, select

from broker.store.database.tables import tokens
from tests.conftest import MakeBroker
from tests.support.counts import wrong_counts
from tests.support.crowd import Outcome
from tests.support.four_workers import (
    CALLERS,
    CEILING,
    ROUNDS,
    Service,
    codes,
    four_workers_on,
    opened,
    play,
)  # fmt: skip
from tests.support.stores import DATABASES, Stores

WARM = 8


@pytest.fixture(scope="module", params=DATABASES)
def service(request: pytest.FixtureRequest, stores: Stores, make_broker: MakeBroker) -> Iterator[Service]:
    with four_workers_on(stores.migrated(request.param).environ, make_broker, warm=WARM) as running:
        yield running


def from_the_shelf(service: Service, outcomes: Sequence[Outcome]) -> int:
    """How many of these sessions got a token that had been minted already."""
    ids = opened(outcomes)
    at_once = select(func.count()).where(tokens.c.session_id.in_(ids), tokens.c.mint_ms < 5)
    with service.broker.database.read() as connection:
        return int(connection.execute(at_once).scalar_one())


def test_limits_are_exact_and_no_token_is_delivered_twice(service: Service) -> None:
    """The limit of sessions, the minutes of a day, and the ceiling of the project."""
    service.reset()
    few = service.at_once([service.new_user("three")])
    assert codes(few) == {"ok": 3, "too-many-sessions": CALLERS - 3}
    service.end(opened(few))

    short = service.at_once([service.new_user("hour")])
    assert codes(short) == {"ok": 5, "minutes-exhausted": CALLERS - 5}
    assert max(outcome.minutes_used for outcome in short) == 65
    service.end(opened(short))

    many = service.at_once([service.new_user() for _ in range(4)])
    assert codes(many) == {"ok": CEILING, "project-capacity": CALLERS - CEILING}

    delivered = [outcome for outcome in (*few, *short, *many) if outcome.code == "ok"]
    assert len({outcome.token for outcome in delivered}) == len(delivered)
    assert from_the_shelf(service, delivered) >= 1, "otherwise nothing was tested"
    assert wrong_counts(service.broker.database) == []


@pytest.mark.measured
@pytest.mark.long
def test_no_place_is_lost_from_one_round_to_the_next(service: Service) -> None:
    service.reset()
    assert asyncio.run(play(service, ROUNDS)) > 0
    assert wrong_counts(service.broker.database) == []
