"""200 rounds of 64 callers on 4 workers, each kind of store: never one more than the limit, no place lost.

Each round is a burst at one of the three limits, the next round at the next. The same people ask in every
round, so a place that a round does not give back is missing in the one after.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from itertools import count

import pytest

from broker.operators.sessions import SessionAdmin
from broker.standin import StandIn
from broker.store.reporting.sessions import SqlSessions
from tests.conftest import MakeBroker
from tests.support.crowd import Crowd
from tests.support.servers import BrokerServer
from tests.support.stores import STORES, Stores
from tests.support.warm import WARM_PLAN, warm_up

CALLERS, ROUNDS, CEILING, MINUTES = 64, 200, 10, 65
CROWD = tuple(f"user{number}" for number in range(8))
PLAN = """
[plans.three]
rate = "1000000/second"
sessions = 3
minutes_per_day = 1000000
session_minutes = 30
[plans.hour]
rate = "1000000/second"
sessions = 1000
minutes_per_day = 65
session_minutes = 30
"""


@pytest.mark.parametrize("kind", STORES)
def test_never_one_more_and_never_one_less(make_broker: MakeBroker, stores: Stores, kind: str) -> None:
    env = stores.migrated(kind).environ
    more = {"rate": "1000000/second", "toml": PLAN + WARM_PLAN, "project_sessions": CEILING, "env": env}
    with StandIn(port=0) as standin, closing(make_broker(standin.url, workers=4, **more)) as broker:
        warm_up(broker)
        for session in SqlSessions(broker.database).page(limit=1000):
            _end(broker, session.id)
        before = len(standin.control.received()["mints"])
        granted = asyncio.run(_rounds(broker))
        assert len(standin.control.received()["mints"]) - before == granted


async def _rounds(broker: BrokerServer) -> int:
    """All rounds, each checked; how many tokens were granted in them."""
    broker.add_user("alice", plan="three")
    for name in CROWD:
        broker.add_user(name)
    alice = [broker.bearer("alice")] * CALLERS
    crowd = [broker.bearer(CROWD[number % len(CROWD)]) for number in range(CALLERS)]
    fresh = count()
    granted = 0
    async with Crowd([broker.url]) as callers:
        for number in range(ROUNDS):
            if number % 3 == 0:
                told = await callers.ask(alice)
                expected = {"ok": 3, "too-many-sessions": CALLERS - 3}
            elif number % 3 == 1:  # a day's minutes are used up once, so each time by somebody new
                name = f"bob{next(fresh)}"
                broker.add_user(name, plan="hour")
                told = await callers.ask([broker.bearer(name)] * CALLERS)
                expected = {"ok": 5, "minutes-exhausted": CALLERS - 5}  # four slices of 15 minutes, one of 5
                assert max(one.minutes_used for one in told) == MINUTES
            else:
                told = await callers.ask(crowd)
                expected = {"ok": CEILING, "project-capacity": CALLERS - CEILING}
            assert Counter(one.code for one in told) == expected, f"round {number}"
            opened = {one.session for one in told if one.code == "ok"}
            assert len(opened) == expected["ok"], f"round {number}: a session was given twice"
            granted += len(opened)
            for session in opened:
                _end(broker, session)
    return granted


def _end(broker: BrokerServer, session: str) -> None:
    """As an operator does: the place is free at once."""
    SessionAdmin(broker.database, actor="tests").end(session)
