"""Rows: the ledger of a soak as it is in the database afterwards, read once and put in order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from broker.sessions.session import TokenState
from broker.store.database.engine import Database
from broker.store.database.tables import audit, sessions, tokens


@dataclass(frozen=True)
class Rows:
    sessions: dict[str, Any]
    tokens: list[Any]
    of_session: dict[str, list[Any]]
    """The tokens of each session, the oldest first."""
    confirmations: dict[str, list[datetime]]
    """SHA-256 of a token: the times of its deliveries in the audit trail."""

    def confirmed_by(self, row: Any, moment: datetime) -> bool:
        """Whether the token was issued, and confirmed at `moment` or before."""
        times = self.confirmations.get(row.token_sha256, [])
        return row.state == TokenState.ISSUED and any(at <= moment for at in times)

    @property
    def issued(self) -> list[Any]:
        return [row for row in self.tokens if row.state == TokenState.ISSUED]

    def first(self, session: str) -> Any:
        return self.of_session[session][0]


def read_rows(database: Database) -> Rows:
    with database.read() as connection:
        of_sessions = {row.id: row for row in connection.execute(select(sessions))}
        of_tokens = list(connection.execute(select(tokens).order_by(tokens.c.reserved_at)))
        delivered = select(audit.c.token_sha256, audit.c.at).where(
            audit.c.action == "token", audit.c.outcome == "ok"
        )
        confirmations: dict[str, list[datetime]] = defaultdict(list)
        for sha, at in connection.execute(delivered):
            confirmations[sha].append(at)
    of_session: dict[str, list[Any]] = defaultdict(list)
    for row in of_tokens:
        of_session[row.session_id].append(row)
    return Rows(of_sessions, of_tokens, of_session, confirmations)
