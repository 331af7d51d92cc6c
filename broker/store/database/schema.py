"""The schema that this version of the code needs, and whether a database has it.

Every transaction that may write asks, so that no token is minted on a schema of another version. The question
is one short statement and does not load Alembic.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, ProgrammingError

from broker.errors import Refusal
from broker.store.database.statement import Rows

_VERSION = "SELECT version_num FROM alembic_version"
_VERSIONS = Path(__file__).parent / "migrations" / "versions"
# Migrations are numbered, so the last file name begins with the newest revision.
NEWEST = max(path.name.split("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))


def require_current(connection: Connection, run: Callable[[Connection, str], Rows]) -> None:
    """Refuses `store-unavailable` unless the database has exactly the schema of this code."""
    try:
        found = run(connection, _VERSION).first()
        revision = None if found is None else str(found[0])
    except (OperationalError, ProgrammingError) as fault:
        if "alembic_version" not in str(fault.orig):
            raise
        revision = None
    if revision != NEWEST:
        raise Refusal("store-unavailable", reason=reason(revision))


def reason(revision: str | None) -> str:
    """Why a database at `revision` cannot be used, with what to do."""
    if revision is None:
        return "the database has no schema; run: broker db upgrade"
    if revision < NEWEST:
        return f"the schema of the database is {revision}, older than {NEWEST}; run: broker db upgrade"
    return f"the schema of the database is {revision}, newer than {NEWEST}; run the newer version"
