"""SqlSuspensions: the suspension in force, one row that every worker and host reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from broker.sessions.suspension import Suspension
from broker.store import audit
from broker.store.database.engine import Database
from broker.store.database.statement import Statement
from broker.store.database.tables import suspension

_ONLY = 1
_FIND = select(suspension)
# Nearly always none is in force.
_ANY = Statement(select(suspension.c.id))


class SqlSuspensions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> Suspension | None:
        with self._database.read() as connection:
            return _current(connection)

    def set(self, reason: str, profiles: Sequence[str] | None, *, renewals: bool, actor: str) -> Suspension:
        with self._database.write() as connection:
            self._database.lock(connection, "suspension")
            now = self._database.now(connection)
            before = _current(connection)
            after = Suspension(reason, None if profiles is None else tuple(profiles), renewals, now, actor)
            connection.execute(delete(suspension))
            connection.execute(
                insert(suspension),
                {
                    "id": _ONLY,
                    "reason": reason,
                    "profiles": None if profiles is None else list(profiles),
                    "renewals": renewals,
                    "since": now,
                    "actor": actor,
                },
            )
            audit.record_change(
                connection, now, actor=actor, action="suspend", before=_terms(before), after=_terms(after)
            )
            return after

    def lift(self, *, actor: str) -> bool:
        with self._database.write() as connection:
            self._database.lock(connection, "suspension")
            before = _current(connection)
            if before is None:
                return False
            connection.execute(delete(suspension))
            now = self._database.now(connection)
            audit.record_change(
                connection, now, actor=actor, action="resume", before=_terms(before), after=None
            )
            return True


def _current(connection: Connection) -> Suspension | None:
    if not _ANY.run(connection):
        return None
    row = connection.execute(_FIND).one_or_none()
    return None if row is None else _from(row)


def _from(row: Row[Any]) -> Suspension:
    profiles = None if row.profiles is None else tuple(row.profiles)
    return Suspension(row.reason, profiles, row.renewals, row.since, row.actor)


def _terms(found: Suspension | None) -> dict[str, Any] | None:
    if found is None:
        return None
    profiles = None if found.profiles is None else list(found.profiles)
    return {"reason": found.reason, "profiles": profiles, "renewals": found.renewals}
