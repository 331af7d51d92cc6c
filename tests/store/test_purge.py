"""Retention: the past goes, and what a limit reads stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Table, func, select

from broker.identity.users import User
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.principal import OWN_ISSUER, Principal
from broker.sessions.session import SessionTerms
from broker.store.accounts.removal import remove_user
from broker.store.accounts.users import SqlUsers
from broker.store.audit import AuditFilter, AuditLog
from broker.store.database.engine import Database
from broker.store.database.sum_tables import day_sums
from broker.store.database.tables import audit, principals, sessions, tokens
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.purge import NewestPurge, Purged, SqlPurge
from tests.store.conftest import MakeDatabase
from tests.support.counts import wrong_counts
from tests.support.prices import PRICES
from tests.support.servers import own_principal

ALICE, BOB = own_principal("alice"), own_principal("bob")
DAY = timedelta(days=1)
TODAY = datetime(2026, 11, 30, tzinfo=UTC)
TERMS = SessionTerms("default", "models/m", 1800, 900, 120, {})


class Clock:
    def __init__(self) -> None:
        self.now = TODAY - 10 * DAY

    def __call__(self) -> datetime:
        return self.now


def quotas_of(principal: Principal) -> Quotas:
    return Quotas((Quota(principal.key, 1000, 100_000),), 1000)


def talk(database: Database, principal: Principal) -> None:
    ledger = SqlLedger(database)
    ledger.confirm(
        principal, ledger.reserve(principal, TERMS, quotas_of(principal)), MintedToken("auth_tokens/x")
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(make_database: MakeDatabase, clock: Clock) -> Database:
    return make_database(clock=clock)


@pytest.fixture
def count(database: Database) -> Callable[[Table], int]:
    def rows(table: Table) -> int:
        with database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

    return rows


def test_the_past_goes_and_the_rest_stays(
    database: Database, clock: Clock, count: Callable[[Table], int]
) -> None:
    for _ in range(12):  # one a day until yesterday, and today
        talk(database, ALICE)
        clock.now += DAY
    clock.now = TODAY + timedelta(hours=9)
    before = TODAY - 3 * DAY
    found = SqlPurge(database, PRICES).count(before)
    deleted = SqlPurge(database, PRICES).purge(before, actor="cli:olga")
    assert deleted == Purged(found.sessions, found.tokens, found.audit, names=0)
    assert (deleted.sessions, deleted.tokens, deleted.audit) == (7, 7, 14)
    assert (count(sessions), count(tokens), count(principals)) == (5, 5, 1)
    assert count(day_sums) == 5
    assert wrong_counts(database) == []
    assert count(audit) == 24 - 14 + 1
    (entry,) = AuditLog(database).page(AuditFilter(action="purge"), before_id=None, limit=10)
    assert entry.actor == "cli:olga"
    assert entry.detail == {"before": "2026-11-27T00:00:00+00:00", "deleted": vars(deleted)}


def test_limits_are_the_same_before_and_after(database: Database, clock: Clock) -> None:
    """Also a minute after midnight, when the last hour is in yesterday and a session is still open."""
    for hour in (-40, -26, -25, -2, -1):
        clock.now = TODAY + timedelta(hours=hour)
        talk(database, ALICE)
    clock.now = TODAY - timedelta(minutes=1)
    talk(database, ALICE)
    clock.now = TODAY + timedelta(minutes=1)
    talk(database, ALICE)
    ledger, quotas = SqlLedger(database), quotas_of(ALICE)
    before = ledger.usages(quotas)
    SqlPurge(database, PRICES).purge(TODAY - DAY, actor="tests")
    assert ledger.usages(quotas) == before
    assert before[0][0].open == 2


@pytest.mark.parametrize("late", [timedelta(seconds=1), timedelta(hours=12), DAY, 2 * DAY, 400 * DAY])
def test_a_day_that_limits_still_need_is_refused(
    database: Database, clock: Clock, count: Callable[[Table], int], late: timedelta
) -> None:
    talk(database, ALICE)
    clock.now = TODAY + timedelta(hours=9)
    purge = SqlPurge(database, PRICES)
    for action in (purge.count, lambda at: purge.purge(at, actor="tests")):
        with pytest.raises(NewestPurge) as refused:
            action(TODAY - DAY + late)
        assert refused.value.moment == TODAY - DAY
    assert (count(sessions), count(audit)) == (1, 2)


def test_names_of_removed_users_go_with_their_last_session(
    database: Database, clock: Clock, count: Callable[[Table], int]
) -> None:
    for principal in (ALICE, BOB):
        SqlUsers(database).add(User(principal.subject, "hash", "default"), actor="tests")
        talk(database, principal)
    remove_user(database, "alice", actor="tests", keep_one_operator=False)
    clock.now = TODAY
    deleted = SqlPurge(database, PRICES).purge(TODAY - DAY, actor="tests")
    assert (deleted.sessions, deleted.names) == (2, 1)
    with database.read() as connection:
        assert connection.execute(select(principals.c.issuer, principals.c.subject)).all() == [
            (OWN_ISSUER, "bob")
        ]
    talk(database, ALICE)  # a name that is known no longer is added again
    assert count(principals) == 2


def test_many_rows_go_in_several_transactions(
    database: Database, clock: Clock, count: Callable[[Table], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.store.ledger.purge._AT_ONCE", 4)
    for _ in range(11):
        talk(database, ALICE)
    clock.now = TODAY
    assert SqlPurge(database, PRICES).purge(TODAY - DAY, actor="tests").sessions == 11
    assert (count(sessions), count(tokens), count(audit)) == (0, 0, 1)
