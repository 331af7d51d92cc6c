"""The migrations bring a database to the schema of the code, and back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, bindparam, inspect, select, text

from broker.errors import Refusal
from broker.store.database import migrate
from broker.store.database.column_types import UtcDateTime
from broker.store.database.engine import Database
from broker.store.database.sum_tables import day_sums
from broker.store.database.tables import metadata, places
from tests.support.counts import wrong_counts
from tests.support.stores import Stores

_REVISIONS = ScriptDirectory.from_config(migrate.alembic_config()).walk_revisions()
_EARLIER = sorted(script.revision for script in _REVISIONS if not script.is_head)


def test_migrations_lead_to_the_schema_of_the_code(empty_database: Database) -> None:
    database = empty_database
    assert not migrate.is_current(database)
    before, after = migrate.upgrade(database)
    assert before is None
    assert migrate.upgrade(database) == (after, after)
    assert migrate.is_current(database)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": not database.is_sqlite})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("revision", _EARLIER)
def test_every_earlier_schema_can_be_upgraded(empty_database: Database, revision: str) -> None:
    _upgrade(empty_database, revision)
    assert not migrate.is_current(empty_database)
    before, _ = migrate.upgrade(empty_database)
    assert before == revision
    assert migrate.is_current(empty_database)


def test_counts_are_filled_from_what_is_open_and_charged(empty_database: Database) -> None:
    """Schema 0008 for a store in use: three sessions of a user of a service key, one of them long over."""
    _upgrade(empty_database, "0007")
    now = datetime.now(UTC)
    with empty_database.migration() as connection:
        for key in ("user", "shop"):
            connection.execute(text("INSERT INTO principals VALUES (:key, 'i', :key)"), {"key": key})
        for number, until in enumerate([timedelta(hours=1), timedelta(minutes=1), timedelta(days=-9)]):
            row = {"id": str(number), "at": now + min(until, timedelta(0)), "until": now + until}
            connection.execute(_SESSION, row)
            connection.execute(_TOKEN, row)
    migrate.upgrade(empty_database)
    assert wrong_counts(empty_database) == []
    with empty_database.read() as connection:
        taken = {(row.owner, row.plan): row.taken for row in connection.execute(select(places))}
        sums = {row.key: (row.seconds, row.forgiven) for row in connection.execute(select(day_sums))}
    assert taken == {("project", ""): 2, ("plan", "gold"): 2, ("user", ""): 2, ("shop", ""): 2}
    assert sums == {"user": (1800, 200), "shop": (1800, 200)}


def _upgrade(database: Database, revision: str) -> None:
    config = migrate.alembic_config()
    with database.migration() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


_TIMES = [bindparam("at", type_=UtcDateTime()), bindparam("until", type_=UtcDateTime())]
_SESSION = text(
    "INSERT INTO sessions (id, principal_key, acting_key, plan, profile, model, client, state, opened_at, "
    "ends_at, held_until) VALUES (:id, 'user', 'shop', 'gold', 'p', 'm', '{}', 'open', :at, :until, :until)"
).bindparams(*_TIMES)
_TOKEN = text(
    "INSERT INTO tokens (id, session_id, principal_key, acting_key, state, reserved_at, connect_by, "
    "expires_at, covers_from, seconds, forgiven) "
    "VALUES (:id, :id, 'user', 'shop', 'issued', :at, :until, :until, :at, 900, 100)"
).bindparams(*_TIMES)


def test_migrations_can_be_reversed(database: Database) -> None:
    config = migrate.alembic_config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}


def test_newer_schema_is_left_unchanged(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refusal) as refused:
        migrate.upgrade(database)
    assert refused.value.detail is not None
    assert "9999, which this version does not know" in refused.value.detail
    assert not migrate.is_current(database)


def test_concurrent_upgrades_run_one_after_another(empty_database: Database) -> None:
    with ThreadPoolExecutor(4) as hosts:
        befores = [before for before, _ in hosts.map(migrate.upgrade, [empty_database] * 4)]
    assert befores.count(None) == 1
    assert migrate.is_current(empty_database)


def test_migrations_have_no_timeouts(stores: Stores) -> None:
    """A request's timeouts are removed, on this connection only."""
    database = Database(stores.migrated("postgresql").database_url, pool_size=1)
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    def timeouts(connection: Connection) -> set[str]:
        return {connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names}

    with database.migration() as connection:
        assert timeouts(connection) == {"0"}
    with database.write() as connection:
        assert "0" not in timeouts(connection)
    database.dispose()
