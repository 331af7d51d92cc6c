"""SessionAdmin: ends sessions of other people."""

from __future__ import annotations

from datetime import datetime

from broker.operators.errors import NotFound, SessionEnded
from broker.sessions.session import SessionState
from broker.store.database.engine import Database
from broker.store.reporting.sessions import SqlSessions


class SessionAdmin:
    def __init__(self, database: Database, *, actor: str) -> None:
        self._sessions = SqlSessions(database)
        self._actor = actor

    def end(self, session_id: str) -> datetime | None:
        """End a session: it gets no further token. Its page learns of this at its next heartbeat.

        Returns when its last token expires at Google; None if it has no token that is still valid.
        """
        try:
            return self._sessions.end(session_id, actor=self._actor)
        except LookupError:
            if self._sessions.state(session_id) is SessionState.ENDED:
                raise SessionEnded(f"there is no open session {session_id!r}: it has ended") from None
            raise NotFound(f"there is no open session {session_id!r}") from None
