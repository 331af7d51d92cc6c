"""Reads a principal's own sessions: those that belong to it, and those that it opened for its users.

Every action on a session by its id looks it up here first. So no caller can distinguish another principal's
session from one that never existed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select

from broker.errors import Refusal
from broker.principal import Principal
from broker.sessions.session import Session, SessionState, TokenState
from broker.store.database.statement import Query
from broker.store.database.tables import principals, sessions, tokens
from broker.store.ledger.quota_usage import HOLDS_PLACE, times

_SESSION_ID = re.compile("ses_[0-9a-f]{32}")

# Built once: putting a statement together takes longer than running it.
_LAST_TOKEN = (
    select(func.max(tokens.c.expires_at))
    .where(tokens.c.session_id == sessions.c.id, tokens.c.state == TokenState.ISSUED)
    .scalar_subquery()
)
_team = principals.alias("team")
# A service key also has the sessions that it opened for its users. A user's id alone opens nothing.
_MINE = (
    select(
        sessions, _LAST_TOKEN.label("token_expires_at"), principals.c.subject, _team.c.subject.label("team")
    )
    .join(principals, principals.c.key == sessions.c.principal_key)
    .outerjoin(_team, _team.c.key == sessions.c.team_key)
    .where(
        or_(
            sessions.c.principal_key == bindparam("principal"),
            sessions.c.acting_key == bindparam("principal"),
        )
    )
)
_OWN = Query(_MINE.where(sessions.c.id == bindparam("session")))
_PLACED = (
    _MINE.where(HOLDS_PLACE).order_by(sessions.c.opened_at.desc(), sessions.c.id).limit(bindparam("most"))
)


def own_session(connection: Connection, principal: Principal, session_id: str) -> Session:
    """Refuses `session-unknown`."""
    if not _SESSION_ID.fullmatch(session_id):
        raise Refusal("session-unknown")
    found = _OWN.rows(connection, {"session": session_id, "principal": principal.key})
    # A void session was never delivered, so for its caller it never existed.
    if not found or found[0].state == SessionState.VOID:
        raise Refusal("session-unknown")
    return _session(found[0], principal.key)


def placed_sessions(
    connection: Connection, principal_key: str, now: datetime, most: int
) -> Sequence[Session]:
    """The sessions that have a place, in any state, the newest first."""
    values = {"principal": principal_key, "most": most, **times(now)}
    return [_session(row, principal_key) for row in connection.execute(_PLACED, values)]


def _session(row: Any, requester_key: str) -> Session:
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
        on_behalf_of=None if row.principal_key == requester_key else row.subject,
        user_plan=row.user_plan or "default",
        # Only an operator's end frees the place at once and gives nothing back.
        ended_by_operator=row.released_at is None
        and row.ended_at is not None
        and row.held_until == row.ended_at,
        is_counted=row.counted,
        spent_on=row.spent_on,
        spent_nanos=row.spent_nanos,
        spent_seconds=row.spent_seconds,
        team=row.team,
    )
