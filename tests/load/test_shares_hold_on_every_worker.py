"""64 parallel callers, 4 workers, each kind of store: exactly the sessions, the minutes, the ceiling."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from broker.operators.limits import LimitAdmin
from broker.operators.sessions import SessionAdmin
from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer
from tests.support.stores import STORES, Stores

CALLERS = 64
CEILING = 10


@pytest.fixture(scope="module", params=STORES)
def shared(
    request: pytest.FixtureRequest, standin: StandIn, stores: Stores, make_broker: MakeBroker
) -> Iterator[BrokerServer]:
    """A broker of 4 workers on each kind of store."""
    store = stores.migrated(request.param)
    server = make_broker(standin.url, workers=4, project_sessions=CEILING, env=store.environ)
    for name in ("alice", "bob", *PEOPLE):
        server.add_user(name)
    yield server
    server.close()


PEOPLE = tuple(f"user{number}" for number in range(4))


def limits_of(broker: BrokerServer) -> LimitAdmin:
    return LimitAdmin(broker.settings, broker.database, actor="tests")


def at_once(broker: BrokerServer, people: tuple[str, ...]) -> tuple[Counter[str], list[str]]:
    """64 requests in one moment: how they were answered, and the sessions that were opened."""
    headers = [{"Authorization": f"Bearer {broker.bearer(name)}"} for name in people]
    start = threading.Barrier(CALLERS)

    def call(number: int) -> tuple[str, str]:
        with httpx2.Client(base_url=broker.url, trust_env=False, timeout=60) as client:
            start.wait(60)
            answer = client.post("/token", headers=headers[number % len(headers)]).json()
            return str(answer.get("code", "ok")), answer.get("session", {}).get("id", "")

    with ThreadPoolExecutor(CALLERS) as threads:
        answers = list(threads.map(call, range(CALLERS)))
    return Counter(code for code, _ in answers), [session for _, session in answers if session]


def end(broker: BrokerServer, sessions: list[str]) -> None:
    for session in sessions:
        SessionAdmin(broker.database, actor="tests").end(session)


def test_exactly_three_sessions(shared: BrokerServer) -> None:
    limits_of(shared).set("alice", {"sessions": 3})
    for _ in range(3):
        told, opened = at_once(shared, ("alice",))
        assert told == {"ok": 3, "too-many-sessions": 61}
        assert len(set(opened)) == 3
        end(shared, opened)


def test_exactly_the_minutes(shared: BrokerServer) -> None:
    limits_of(shared).set("bob", {"minutes_per_day": 65})
    told, opened = at_once(shared, ("bob",))
    assert told == {"ok": 5, "minutes-exhausted": 59}, "four slices of 15 minutes and one of 5"
    with shared.client("bob") as client:
        assert client.get("/me").json()["limits"]["minutes_per_day"] == {"limit": 65, "used": 65}
    end(shared, opened)


def test_exactly_the_ceiling(shared: BrokerServer) -> None:
    for _ in range(3):
        told, opened = at_once(shared, PEOPLE)
        assert told == {"ok": CEILING, "project-capacity": CALLERS - CEILING}
        end(shared, opened)


def test_a_limit_that_is_set_holds_for_the_next_request_of_every_worker(shared: BrokerServer) -> None:
    with shared.client("user0") as client:
        for sessions in (5, 7, 9):
            limits_of(shared).set("user0", {"sessions": sessions})
            told = []
            for _ in range(12):  # each on a connection of its own, so that all workers are asked
                answer = client.get("/me", headers={"Connection": "close"}).json()
                told.append(answer["limits"]["sessions"]["limit"])
            assert told == [sessions] * 12
