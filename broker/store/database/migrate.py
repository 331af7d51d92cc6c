"""Upgrades a database to the schema in `tables` and reports whether it is current."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from broker.errors import Refusal
from broker.store.database import schema
from broker.store.database.engine import Database

_SCRIPTS = Path(__file__).parent / "migrations"


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


def upgrade(database: Database) -> tuple[str | None, str | None]:
    """Run the missing migrations. Returns the revisions before and after. A second run changes nothing."""
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
            f"The database is at revision {revision}, which this version does not know: a newer version has "
            "upgraded it. Run the newer version, or restore the backup from before the upgrade.",
        )


def is_current(database: Database) -> bool:
    with database.read() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    return revision == schema.NEWEST
