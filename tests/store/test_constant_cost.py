"""A token costs the same number of statements and of rows, whatever others and the past have left behind."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, event, insert, select, text, update

from broker.limits.limiter import create_rates
from broker.limits.policy import Allowance
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.principal import Principal, end_user, team_named
from broker.sessions import suspension
from broker.sessions.session import SessionTerms
from broker.store.database.engine import Database
from broker.store.database.sum_tables import day_sums
from broker.store.database.tables import places, principals, sessions, tokens
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.places import AT_ONCE
from broker.store.ledger.rates import rate_storage
from broker.store.ledger.suspension import SqlSuspensions
from tests.store.conftest import MakeDatabase
from tests.support.counts import wrong_counts
from tests.support.servers import own_principal

KEY = Principal("live-broker:key", "k1", "shop", "default")
ALICE, VISITOR = own_principal("alice"), end_user(KEY, "visitor")
MEMBER = replace(own_principal("member"), team=team_named("engineering"))
TERMS = SessionTerms("default", "models/m", 7200, 900, 120, {})
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MANY = 2000
# Of one token, from the suspension to the confirmation, without BEGIN and COMMIT. The use of a key or of a
# team is one statement more: locks and windows are in one statement for all.
STATEMENTS = {("sqlite", "alice"): 18, ("sqlite", "visitor"): 19, ("sqlite", "member"): 19}
# Confirmations have locks, too. BEGIN asks for the schema, and what is added is one statement.
STATEMENTS |= {("postgresql", "alice"): 13, ("postgresql", "visitor"): 14, ("postgresql", "member"): 14}
# The rows that PostgreSQL reads for one token: those of the caller, its key or team, and of the few plans.
MOST_ROWS = 60


class Store:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger = SqlLedger(database)
        self.rates = create_rates(rate_storage(database, None))
        self.suspensions = SqlSuspensions(database)

    def mint(self, who: Principal, ceiling: int = 10**6) -> None:
        """What `POST /token` asks of the store after it knows the caller."""
        charged = who.charged
        each = (Quota(one.key, 10**6, 10**6, is_team=one is who.team) for one in charged)
        quotas = Quotas(tuple(each), ceiling, "gold")
        with self.ledger.together():
            suspension.check(self.suspensions, "default", renewal=False)
            self.rates.spend_all([Allowance("6000/minute", "token", one.key) for one in charged])
            reservation = self.ledger.reserve(who, TERMS, quotas)
        self.ledger.confirm(who, reservation, MintedToken(secrets.token_hex(8)), 50)

    def statements(self, work: Callable[[], None]) -> list[tuple[str, Any]]:
        seen: list[tuple[str, Any]] = []

        def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
            seen.append((sql, parameters))

        event.listen(self.database.engine, "before_cursor_execute", note)
        work()
        event.remove(self.database.engine, "before_cursor_execute", note)
        return seen

    def steps(self, work: Callable[[], None]) -> int:
        """How many instructions of its virtual machine SQLite runs."""
        number = 0

        def count() -> int:
            nonlocal number
            number += 1
            return 0

        def watch(connection: Any, *_: Any) -> None:
            connection.set_progress_handler(count, 1)

        event.listen(self.database.engine, "checkout", watch)
        work()
        event.remove(self.database.engine, "checkout", watch)
        with self.database.engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            driver.set_progress_handler(None, 0)
        return number

    def rows_read(self, work: Callable[[], None]) -> int:
        """How many rows PostgreSQL reads, by the plans of the statements."""
        total, seen = 0, self.statements(work)
        with self.database.engine.connect() as connection:
            for sql, parameters in seen:
                if sql.startswith(("WITH w0 AS (INSERT INTO sessions", "INSERT INTO audit")):
                    continue
                for one in parameters if isinstance(parameters, list) else [parameters]:
                    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
                    plan = connection.exec_driver_sql(explain, one or None).scalar_one()
                    total += _rows(plan[0]["Plan"])
            connection.rollback()
        return total


def _rows(plan: dict[str, Any]) -> int:
    own = 0
    if "Relation Name" in plan or plan["Node Type"] == "Bitmap Index Scan":
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return int(own) + sum(_rows(one) for one in plan.get("Plans", ()))


def fill(database: Database) -> None:
    """Many others hold places, users of the key and members too. Everyone has a long past."""
    others = [replace(own_principal(f"other{number}"), team=MEMBER.team) for number in range(MANY // 2)]
    users = [end_user(KEY, f"user{number}") for number in range(MANY // 2)]
    everyone = [*others, *users, ALICE, KEY, VISITOR, MEMBER, MEMBER.charged[0]]
    open_until, over = NOON + timedelta(seconds=600), NOON - timedelta(hours=1)
    held = [_session(who, open_until) for who in (others + users) * 2]
    past = [_session(who, over) for who in everyone]
    past += [_session(who, over) for who in (ALICE, VISITOR, MEMBER) for _ in range(MANY)]
    with database.write() as connection:
        _add(
            connection,
            principals,
            [{"key": p.key, "issuer": p.issuer, "subject": p.subject} for p in everyone],
        )
        _add(connection, sessions, [*held, *past])
        _add(connection, tokens, [_token(session) for session in past])
        # As a store without counts: they are made anew on the first use.
        stale = [{"owner": who.key, "plan": "", "taken": 0, "recounted_on": ""} for who in everyone]
        _add(connection, places, stale)
        sums = [{"key": p.key, "day": "2026-01-01", "seconds": 900, "forgiven": 0} for p in everyone]
        _add(connection, day_sums, sums)
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _add(connection: Any, table: Table, rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(table), rows)


def _session(who: Principal, until: datetime) -> dict[str, Any]:
    return {
        "id": f"ses_{secrets.token_hex(16)}", "principal_key": who.key,
        "acting_key": who.actor.key if who.actor else None, "team_key": who.team.key if who.team else None,
        "plan": "gold", "profile": "default",
        "model": "models/m", "client": {}, "state": "open" if until > NOON else "ended",
        "opened_at": until - timedelta(minutes=15), "ends_at": until, "held_until": until,
        "counted": until > NOON,
    }  # fmt: skip


def _token(session: dict[str, Any]) -> dict[str, Any]:
    at = session["opened_at"]
    return {
        "id": f"tok_{secrets.token_hex(16)}", "session_id": session["id"],
        "principal_key": session["principal_key"], "acting_key": session["acting_key"], "state": "issued",
        "reserved_at": at, "connect_by": at, "expires_at": at, "covers_from": at, "seconds": 1, "forgiven": 0,
    }  # fmt: skip


@pytest.mark.parametrize("who", [ALICE, VISITOR, MEMBER], ids=["alice", "visitor", "member"])
def test_statements_and_rows_of_a_token_do_not_grow(
    make_database: MakeDatabase, kind: str, who: Principal
) -> None:
    empty, full = (Store(make_database(clock=lambda: NOON, pool_size=1)) for _ in range(2))
    fill(full.database)
    for store in (empty, full):
        store.mint(who)  # the first of the day makes the counts anew
        used = store.statements(lambda store=store: store.mint(who))  # type: ignore[misc]
        assert len(used) == STATEMENTS[kind, who.subject]
    if full.database.is_sqlite:
        before, after = (store.steps(lambda store=store: store.mint(who)) for store in (empty, full))  # type: ignore[misc]
        assert after <= before * 1.05
    else:
        assert full.rows_read(lambda: full.mint(who)) <= MOST_ROWS


def test_counts_that_drifted_are_right_on_the_next_day(make_database: MakeDatabase) -> None:
    now = NOON
    store = Store(make_database(clock=lambda: now))
    for who in (ALICE, VISITOR, own_principal("bob")):
        store.mint(who)
    with store.database.write() as connection:
        connection.execute(update(places).values(taken=places.c.taken + 5))
    assert len(wrong_counts(store.database)) == 6
    now += timedelta(days=1)
    for who in (ALICE, VISITOR, own_principal("bob")):
        store.mint(who)
    assert wrong_counts(store.database) == []


def test_project_heals_at_once_if_its_counts_contradict_each_other(make_database: MakeDatabase) -> None:
    store = Store(make_database(clock=lambda: NOON))
    store.mint(ALICE)
    with store.database.write() as connection:
        connection.execute(update(places).where(places.c.owner == "project").values(taken=1000))
    store.mint(ALICE, ceiling=2)
    assert wrong_counts(store.database) == []


def test_places_that_became_free_without_a_word_leave_the_counts(make_database: MakeDatabase) -> None:
    """As after all clients of a busy night have gone: the next requests take them out, a few at a time."""
    now = NOON
    store = Store(make_database(clock=lambda: now))
    with store.database.write() as connection:
        _add(connection, principals, [{"key": KEY.key, "issuer": KEY.issuer, "subject": KEY.subject}])
        _add(connection, sessions, [_session(KEY, NOON + timedelta(seconds=9)) for _ in range(AT_ONCE + 44)])
        _add(connection, places, [{"owner": KEY.key, "plan": "", "taken": 0, "recounted_on": ""}])
    store.mint(VISITOR)
    assert _taken(store.database) == {"project": AT_ONCE + 45, "plan": AT_ONCE + 45}
    now += timedelta(seconds=10)
    store.mint(VISITOR)
    assert _taken(store.database) == {"project": 46, "plan": 46}
    store.mint(VISITOR, ceiling=4)
    assert _taken(store.database) == {"project": 3, "plan": 3}
    assert wrong_counts(store.database) == []


def _taken(database: Database) -> dict[str, int]:
    with database.read() as connection:
        found = select(places.c.owner, places.c.taken).where(places.c.owner.in_(["project", "plan"]))
        return {row.owner: row.taken for row in connection.execute(found)}
