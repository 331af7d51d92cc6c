"""SqlReports: what clients tell about their sessions, one row a session. For people; no limit looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import bindparam, select, update

from broker.errors import Refusal
from broker.principal import Principal
from broker.sessions.session import SessionState
from broker.store.database.engine import Database
from broker.store.database.tables import session_reports
from broker.store.ledger.own_sessions import own_session

# The last report is sent when a session is over, perhaps by a page that had lost its network.
ACCEPTED_AFTER_END = timedelta(minutes=10)
APART = timedelta(seconds=1)

_LAST = select(session_reports.c.reported_at, session_reports.c.data).where(
    session_reports.c.session_id == bindparam("session")
)
_REPLACE = (
    update(session_reports)
    .where(session_reports.c.session_id == bindparam("session"))
    .values(reported_at=bindparam("at"), data=bindparam("told"))
)


class SqlReports:
    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, principal: Principal, session_id: str, data: Mapping[str, int]) -> Mapping[str, int] | None:
        """Keep `data` in place of what was told before, and return that; None if it was less than 1 s ago.

        Refuses `session-unknown`, and `session-ended` for one that has been over for more than ten minutes.
        """
        with self._database.write() as connection:
            session = own_session(connection, principal, session_id)
            now = self._database.now(connection)
            over_at = session.ends_at
            if session.state is SessionState.ENDED and session.ended_at is not None:
                over_at = min(over_at, session.ended_at)
            if now > over_at + ACCEPTED_AFTER_END:
                raise Refusal("session-ended", "It has been over for too long.")
            last = connection.execute(_LAST, {"session": session_id}).one_or_none()
            if last is None:
                new = {"session_id": session_id, "reported_at": now, "data": dict(data)}
                connection.execute(self._database.insert_or_ignore(session_reports), new)
                return {}
            if last.reported_at <= now < last.reported_at + APART:
                return None
            connection.execute(_REPLACE, {"session": session_id, "at": now, "told": dict(data)})
            told: Mapping[str, int] = last.data
            return told
