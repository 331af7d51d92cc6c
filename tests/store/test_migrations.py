"""The migrations lead to the schema that the code speaks to, on an empty database, twice, and back."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from broker.store import migrate
from broker.store.engine import Database
from broker.store.tables import metadata


def test_lead_to_the_tables_of_the_code(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/m.sqlite3")
    assert not migrate.is_current(database)
    before, after = migrate.upgrade(database)
    assert before is None
    assert migrate.upgrade(database) == (after, after)
    assert migrate.is_current(database)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []
    database.dispose()


def test_can_be_taken_back(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/m.sqlite3")
    migrate.upgrade(database)
    config = migrate.alembic_config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    database.dispose()
