"""Bring a database to the schema of `tables`, and say whether it is there."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from broker.errors import Refusal
from broker.store.database.engine import Database

_SCRIPTS = Path(__file__).parent / "migrations"


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


def upgrade(database: Database) -> tuple[str | None, str | None]:
    """Run what is missing; returns the revision before and after. Running it twice changes nothing."""
    config = alembic_config()
    with database.migration() as connection:
        config.attributes["connection"] = connection
        before = MigrationContext.configure(connection).get_current_revision()
        _refuse_unknown(before, ScriptDirectory.from_config(config))
        command.upgrade(config, "head")
        after = MigrationContext.configure(connection).get_current_revision()
    return before, after


def _refuse_unknown(revision: str | None, scripts: ScriptDirectory) -> None:
    if revision is not None and revision not in {one.revision for one in scripts.walk_revisions()}:
        raise Refusal(
            "store-unavailable",
            f"The database is at {revision}, which this version does not know: a newer one has upgraded it. "
            "Run that one, or restore the backup of before.",
        )


def is_current(database: Database) -> bool:
    with database.read() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    return revision == ScriptDirectory.from_config(alembic_config()).get_current_head()
