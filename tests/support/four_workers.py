"""Service: a broker of four workers under bursts of callers, for the tests that its limits are exact."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from broker.operators.limits import LimitAdmin
from broker.operators.sessions import SessionAdmin
from broker.operators.teams import TeamAdmin
from broker.sessions.session import SessionState
from broker.standin import StandIn
from broker.store.reporting.sessions import SqlSessions
from tests.conftest import MakeBroker
from tests.support.crowd import Crowd, Outcome
from tests.support.keys import make_key
from tests.support.servers import BrokerServer
from tests.support.warm import WARM_PLAN, warm_up

# Beside other tests, some of 64 callers would wait for a row for longer than a statement may take.
CALLERS, MANY_CALLERS, CEILING = 32, 64, 10
# Before a release: ROUNDS=200.
ROUNDS = int(os.environ.get("ROUNDS", "9"))
WORKERS, THREADS = 4, 32  # the default number of threads: the database must have a connection for each
PLANS = """
[plans.ten]
rate = "10/minute"
sessions = 1000
minutes_per_day = 10000
session_minutes = 30
[plans.three]
rate = "1000000/second"
sessions = 3
minutes_per_day = 1000000
session_minutes = 30
[plans.crowd]
rate = "1000000/second"
sessions = 1000
minutes_per_day = 1000000
session_minutes = 30
[plans.hour]
rate = "1000000/second"
sessions = 1000
minutes_per_day = 65
session_minutes = 30
[plans.purse]
rate = "1000000/second"
sessions = 1000
minutes_per_day = 1000000
session_minutes = 30
budget_per_month = 1.55
"""
_numbers = count()


@dataclass(frozen=True)
class Service:
    """A broker of four workers, and the stand-in behind it."""

    broker: BrokerServer
    standin: StandIn

    @property
    def limits(self) -> LimitAdmin:
        return LimitAdmin(self.broker.settings, self.broker.database, actor="tests")

    @property
    def teams(self) -> TeamAdmin:
        return TeamAdmin(self.broker.settings, self.broker.database, actor="tests")

    def mints(self) -> int:
        return len(self.standin.control.received()["mints"])

    def new_user(self, plan: str = "default", team: str | None = None) -> str:
        name = f"user{next(_numbers)}"
        self.broker.add_user(name, plan=plan, team=team)
        return name

    def new_team(self, **limits: Any) -> list[str]:
        """Eight members of a new team with these limits, on a plan that hardly limits them."""
        name = f"team{next(_numbers)}"
        self.teams.set(name, limits)
        return [self.new_user("crowd", name) for _ in range(8)]

    def at_once(self, users: Sequence[str], callers: int = CALLERS, **headers: str) -> list[Outcome]:
        """Sends one POST /token for each caller in one moment. The users take turns."""
        bearers = [self.broker.bearer(name) for name in users]

        async def ask() -> list[Outcome]:
            async with Crowd([self.broker.url], headers) as crowd:
                return await crowd.ask([bearers[number % len(bearers)] for number in range(callers)])

        return asyncio.run(ask())

    def of_a_key(self, plan: str, callers: int) -> list[Outcome]:
        """As `at_once`, for the users of a new service key with this plan."""
        secret = make_key(self.broker, f"key{next(_numbers)}", plan=plan, on_behalf_of="any").secret

        async def ask() -> list[Outcome]:
            async with Crowd([self.broker.url], key=secret) as crowd:
                return await crowd.ask([f"end-user{number}" for number in range(callers)])

        return asyncio.run(ask())

    def reset(self) -> None:
        """No session is open, and the stand-in has received nothing."""
        self.standin.control.reset()
        placed = SqlSessions(self.broker.database).page(limit=1000)
        self.end({session.id for session in placed if session.state is SessionState.OPEN})

    def end(self, sessions: set[str]) -> None:
        """Ends them as an operator does, which frees their places at once."""
        for session in sessions:
            SessionAdmin(self.broker.database, actor="tests").end(session)


@contextmanager
def four_workers_on(
    env: Mapping[str, str], make_broker: MakeBroker, *, project_sessions: int = CEILING, **options: Any
) -> Iterator[Service]:
    """Runs a broker on the store of `env`, with a stand-in of its own. All of its workers are warm."""
    toml, size = PLANS + WARM_PLAN, {"workers": WORKERS, "threads": THREADS}
    with (
        StandIn(port=0) as standin,
        closing(
            make_broker(standin.url, toml=toml, project_sessions=project_sessions, env=env, **size, **options)
        ) as broker,
    ):
        warm_up(broker)
        yield Service(broker, standin)


def codes(outcomes: Sequence[Outcome]) -> Counter[str]:
    return Counter(outcome.code for outcome in outcomes)


def opened(outcomes: Sequence[Outcome]) -> set[str]:
    return {outcome.session for outcome in outcomes if outcome.code == "ok"}


async def play(service: Service, rounds: int) -> int:
    """Plays all rounds, checks each, and returns how many tokens they granted."""
    one = [service.broker.bearer(service.new_user("three"))] * MANY_CALLERS
    eight = [service.broker.bearer(service.new_user()) for _ in range(8)]
    granted = 0
    async with Crowd([service.broker.url]) as crowd:
        for number in range(rounds):
            if number % 4 == 0:
                outcomes = await crowd.ask(one)
                expected = {"ok": 3, "too-many-sessions": MANY_CALLERS - 3}
            elif number % 4 == 1:  # a new user each time, because a day's minutes do not come back
                outcomes = await crowd.ask([service.broker.bearer(service.new_user("hour"))] * MANY_CALLERS)
                expected = {
                    "ok": 5,
                    "minutes-exhausted": MANY_CALLERS - 5,
                }  # four slices of 15 minutes, one of 5
                assert max(outcome.minutes_used for outcome in outcomes) == 65
            elif number % 4 == 2:  # a slice costs 0.345
                outcomes = await crowd.ask([service.broker.bearer(service.new_user("purse"))] * MANY_CALLERS)
                expected = {"ok": 5, "budget-exhausted": MANY_CALLERS - 5}
            else:
                outcomes = await crowd.ask(eight * (MANY_CALLERS // len(eight)))
                expected = {"ok": CEILING, "project-capacity": MANY_CALLERS - CEILING}
            assert codes(outcomes) == expected, f"round {number}"
            assert len(opened(outcomes)) == expected["ok"], f"round {number} granted a session twice"
            granted += len(opened(outcomes))
            service.end(opened(outcomes))
    return granted
