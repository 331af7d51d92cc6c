"""SqlTrail: audit rows of what is not part of another transaction, and the trail as operators read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from broker.store import audit
from broker.store.database.engine import Database
from broker.store.database.tables import audit as rows
from broker.store.matching import holds


@dataclass(frozen=True)
class Asked:
    """What an entry must fit to be shown; None lets everything through. `actor` may be any part of it."""

    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Entry:
    id: int
    at: datetime
    actor: str
    action: str
    outcome: str
    request_id: str
    session_id: str | None
    detail: Mapping[str, Any] | None


class SqlTrail:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, *, actor: str, action: str, outcome: str, detail: Mapping[str, Any]) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            audit.record(connection, now, actor=actor, action=action, outcome=outcome, detail=detail)

    def page(self, asked: Asked, *, before_id: int | None, most: int) -> list[Entry]:
        """The newest first, from the one behind `before_id` on."""
        query = select(rows).order_by(rows.c.id.desc()).limit(most)
        for name in ("action", "outcome", "session_id", "request_id"):
            if (wanted := getattr(asked, name)) is not None:
                query = query.where(rows.c[name] == wanted)
        if asked.actor is not None:
            query = query.where(holds(rows.c.actor, asked.actor))
        if asked.since is not None:
            query = query.where(rows.c.at >= asked.since)
        if asked.until is not None:
            query = query.where(rows.c.at < asked.until)
        if before_id is not None:
            query = query.where(rows.c.id < before_id)
        with self._database.read() as connection:
            return [
                Entry(
                    row.id,
                    row.at,
                    row.actor,
                    row.action,
                    row.outcome,
                    row.request_id,
                    row.session_id,
                    row.detail,
                )
                for row in connection.execute(query)
            ]
