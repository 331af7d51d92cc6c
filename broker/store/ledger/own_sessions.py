"""A principal's own sessions, read: those that are its own, and those that it opened for a user of its.

Whatever acts on a session by its id finds it here first, so that another's is told apart from one that never
was by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, or_, select

from broker.errors import Refusal
from broker.principal import Principal
from broker.sessions.session import Session, SessionState, TokenState
from broker.store.database.tables import principals, sessions, tokens

_SESSION_ID = re.compile("ses_[0-9a-f]{32}")

# Built once: putting a statement together takes longer than running it.
_LAST_TOKEN = (
    select(func.max(tokens.c.expires_at))
    .where(tokens.c.session_id == sessions.c.id, tokens.c.state == TokenState.ISSUED)
    .scalar_subquery()
)
# A service key has the sessions that it opened for its users too; the user's id alone opens nothing.
_MINE = (
    select(sessions, _LAST_TOKEN.label("token_expires_at"), principals.c.subject)
    .join(principals, principals.c.key == sessions.c.principal_key)
    .where(
        or_(
            sessions.c.principal_key == bindparam("principal"),
            sessions.c.acting_key == bindparam("principal"),
        )
    )
)
_OWN = _MINE.where(sessions.c.id == bindparam("session"))
_OPEN = (
    _MINE.where(sessions.c.state == SessionState.OPEN, sessions.c.held_until > bindparam("now"))
    .order_by(sessions.c.opened_at.desc(), sessions.c.id)
    .limit(bindparam("most"))
)


def own_session(connection: Connection, principal: Principal, session_id: str) -> Session:
    """Refuses `session-unknown`."""
    if not _SESSION_ID.fullmatch(session_id):
        raise Refusal("session-unknown")
    row = connection.execute(_OWN, {"session": session_id, "principal": principal.key}).one_or_none()
    # A session that never came to be is told apart from a foreign one by nobody.
    if row is None or row.state == SessionState.VOID:
        raise Refusal("session-unknown")
    return _session(row, principal.key)


def open_sessions(connection: Connection, principal_key: str, now: datetime, most: int) -> Sequence[Session]:
    """Those that are open and have a place, the newest first."""
    values = {"principal": principal_key, "now": now, "most": most}
    return [_session(row, principal_key) for row in connection.execute(_OPEN, values)]


def _session(row: Row[Any], asker_key: str) -> Session:
    return Session(
        id=row.id,
        profile=row.profile,
        model=row.model,
        state=SessionState(row.state),
        opened_at=row.opened_at,
        ends_at=row.ends_at,
        held_until=row.held_until,
        heartbeat_at=row.heartbeat_at,
        ended_at=row.ended_at,
        token_expires_at=row.token_expires_at,
        on_behalf_of=None if row.principal_key == asker_key else row.subject,
    )
