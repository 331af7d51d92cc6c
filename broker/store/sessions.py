"""Sessions as operators see them: everybody's, and ended without their owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from broker.sessions.session import SessionState, TokenState
from broker.store import audit
from broker.store.engine import Database
from broker.store.tables import principals, sessions, tokens


@dataclass(frozen=True)
class SessionRow:
    id: str
    issuer: str
    subject: str
    profile: str
    model: str
    opened_at: datetime
    ends_at: datetime
    heartbeat_at: datetime | None


class SqlSessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, principal_key: str | None, most: int) -> list[SessionRow]:
        """Those that count as open now, of one principal or of all, the newest first."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            query = (
                select(sessions, principals.c.issuer, principals.c.subject)
                .join(principals, principals.c.key == sessions.c.principal_key)
                .where(sessions.c.held_until > now, sessions.c.state == SessionState.OPEN)
                .order_by(sessions.c.opened_at.desc(), sessions.c.id)
                .limit(most)
            )
            if principal_key is not None:
                query = query.where(sessions.c.principal_key == principal_key)
            return [
                SessionRow(
                    row.id,
                    row.issuer,
                    row.subject,
                    row.profile,
                    row.model,
                    row.opened_at,
                    row.ends_at,
                    row.heartbeat_at,
                )
                for row in connection.execute(query)
            ]

    def end(self, session_id: str, *, actor: str) -> datetime | None:
        """Ends it and frees its place. Returns until when Google may honour its last token.

        Nothing is given back of its minutes: the operator ends it here, not at Google. Raises LookupError.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            ended = connection.execute(
                update(sessions)
                .where(sessions.c.id == session_id, sessions.c.state == SessionState.OPEN)
                .values(state=SessionState.ENDED, ended_at=now, held_until=now)
            )
            if not ended.rowcount:
                raise LookupError(session_id)
            audit.record(
                connection, now, actor=actor, action="session.end", outcome="ok", session_id=session_id
            )
            latest: datetime | None = connection.execute(
                select(func.max(tokens.c.expires_at)).where(
                    tokens.c.session_id == session_id, tokens.c.state == TokenState.ISSUED
                )
            ).scalar_one()
        return latest if latest is not None and latest > now else None
