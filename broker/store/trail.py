"""SqlTrail: audit rows of what is not part of another transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.store import audit
from broker.store.engine import Database


class SqlTrail:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, *, actor: str, action: str, outcome: str, detail: Mapping[str, Any]) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            audit.record(connection, now, actor=actor, action=action, outcome=outcome, detail=detail)
