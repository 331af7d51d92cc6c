"""A worker is killed while it mints, again and again under load: nothing is granted twice, no place is lost.

Only one kind of token is in doubt: it was confirmed, and its response was lost. Someone may have it, so its
minutes stay charged. A reservation that was never confirmed costs nothing 30 s after its join window.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from broker.limits.quota import Quota, Quotas
from broker.principal import team_named
from broker.sessions.session import TokenState
from broker.standin import StandIn
from broker.store.database.engine import Database
from broker.store.database.tables import tokens
from broker.store.ledger.ledger import SqlLedger
from tests.conftest import MakeBroker
from tests.support.counts import wrong_counts
from tests.support.crowd import Crowd, Outcome
from tests.support.servers import BrokerServer, own_principal
from tests.support.stores import DATABASES, Stores
from tests.support.warm import WARM_PLAN, warm_up

PEOPLE, CALLERS, SESSIONS = 4, 16, 3
SLICE_SECONDS = 900
HEALED = timedelta(seconds=120 + 30 + 1)
PLAN = """
[plans.three]
rate = "1000000/second"
sessions = 3
minutes_per_day = 100000
session_minutes = 30
"""


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.release)])
@pytest.mark.parametrize("kind", DATABASES)
def test_nothing_is_lost_and_nothing_granted_twice(
    make_broker: MakeBroker, stores: Stores, kind: str, kills: int
) -> None:
    wait_past_midnight(timedelta(minutes=6 if kills > 10 else 1))
    more = {"rate": "1000000/second", "toml": PLAN + WARM_PLAN, "env": stores.migrated(kind).environ}
    with StandIn(port=0) as standin, closing(make_broker(standin.url, workers=4, **more)) as broker:
        warm_up(broker)
        standin.control.scenario("mint-slow", seconds=0.3)
        kept, in_flight = asyncio.run(_kill_in_mid_mint(broker, standin, kills))
        assert in_flight >= kills, "no worker was killed while it minted"
        _check_what_is_left(broker, kept, kills)


async def _kill_in_mid_mint(broker: BrokerServer, standin: StandIn, kills: int) -> tuple[Counter[str], int]:
    """Returns how many sessions each person has, and how many requests died with their worker."""
    kept: Counter[str] = Counter()
    in_flight = 0
    async with Crowd([broker.url]) as callers:
        for number in range(kills):
            people = [f"user{number}-{person}" for person in range(PEOPLE)]
            for name in people:
                broker.add_user(name, plan="three", team=f"team{number}")
            bearers = {name: broker.bearer(name) for name in people}
            asked = [people[who % PEOPLE] for who in range(CALLERS)]
            minted = _mints(standin)
            asking = asyncio.ensure_future(callers.ask([bearers[name] for name in asked]))
            deadline = time.monotonic() + 30
            while _mints(standin) < minted + 6 and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            os.kill(broker.workers()[0], signal.SIGKILL)
            outcomes = [(asked[one.caller], one) for one in await asking]
            # An app repeats its request. Whether there is room depends on the killed worker's reservations.
            lost = [name for name, one in outcomes if one.code == "gone"]
            repeated = await callers.ask([bearers[name] for name in lost])
            outcomes += [(lost[one.caller], one) for one in repeated]
            in_flight += len(lost)
            for name, one in outcomes:
                kept[name] += await _keep(callers, one, bearers[name])
            assert all(kept[name] <= SESSIONS for name in people), "one too many was granted"
    return kept, in_flight


async def _keep(callers: Crowd, outcome: Outcome, bearer: str) -> bool:
    """Keeps the place of a new session by a heartbeat; returns whether there was a session."""
    assert outcome.code in {"ok", "too-many-sessions", "gone", "busy", "store-unavailable"}, outcome
    if outcome.code == "ok":
        await callers.beat(outcome.session, bearer)
    return outcome.code == "ok"


def _check_what_is_left(broker: BrokerServer, kept: Counter[str], kills: int) -> None:
    """Checks places and minutes at the end of the last join window, by a clock that is ahead."""
    later = Database(
        broker.settings.database_url.get_secret_value(),
        pool_size=2,
        clock=lambda: datetime.now(UTC) + HEALED,
    )
    try:
        assert wrong_counts(later) == []
        with later.read() as connection:
            confirmed = select(tokens.c.principal_key, func.count()).where(
                tokens.c.state == TokenState.ISSUED
            )
            rows = connection.execute(confirmed.group_by(tokens.c.principal_key)).all()
        issued: dict[str, int] = {row[0]: row[1] for row in rows}
        in_doubt = 0
        for name, places in kept.items():
            key = own_principal(name).key
            quotas = Quotas((Quota(key, SESSIONS, 100000),), 1000)
            (usage,), full = SqlLedger(later).usages(quotas)
            assert usage.open == places, f"{name} lost a place, or holds one too many"
            assert usage.used_seconds == issued.get(key, 0) * SLICE_SECONDS, f"{name} lost minutes"
            assert not full
            in_doubt += issued.get(key, 0) - places
        _check_teams(later, kept, issued)
        # A worker is hardly ever killed in the short time between the confirmation and the response.
        assert in_doubt <= kills
    finally:
        later.dispose()


def _check_teams(later: Database, kept: Counter[str], issued: Mapping[str, int]) -> None:
    """The people of one round are one team, and its counts are the sums of theirs."""
    for prefix in {name.split("-")[0] for name in kept}:
        team, members = (
            team_named(prefix.replace("user", "team")),
            [one for one in kept if one.startswith(f"{prefix}-")],
        )
        assert team is not None
        quotas = Quotas((Quota(team.key, 1000, 10**6, is_team=True),), 1000)
        (usage,), _ = SqlLedger(later).usages(quotas)
        assert usage.open == sum(kept[name] for name in members), f"{prefix}: a place of its team is wrong"
        tokens_of = sum(issued.get(own_principal(name).key, 0) for name in members)
        assert usage.used_seconds == tokens_of * SLICE_SECONDS, f"{prefix}: minutes of its team are wrong"


def _mints(standin: StandIn) -> int:
    return len(standin.control.received()["mints"])


def wait_past_midnight(needed: timedelta) -> None:
    """Minutes are counted for each day in UTC, so the whole test has to run on one day."""
    now = datetime.now(UTC)
    left = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0) - now
    if left < needed:
        time.sleep(left.total_seconds() + 1)
