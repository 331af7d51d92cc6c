"""SqlLedger: sessions and tokens in SQL, one short transaction per step.

A reservation locks the principal's row first, so that whatever is counted there (sessions, minutes) is
counted by one request at a time. No transaction is held over the call to Google.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from broker.errors import Refusal
from broker.identity.principal import Principal, end_user
from broker.sessions.session import Lease, Session, SessionState, Terms, TokenState
from broker.store import audit
from broker.store.engine import Database
from broker.store.tables import principals, sessions, tokens

# A token that could not carry a conversation is not worth a call to Google.
_SESSION_ID = re.compile("ses_[0-9a-f]{32}")
_SHORTEST_SLICE = timedelta(seconds=10)

# Built once: putting a statement together takes longer than running it.
_LOCK = select(principals.c.key).where(principals.c.key == bindparam("principal")).with_for_update()
_ADD_SESSION = insert(sessions)
_ADD_TOKEN = insert(tokens)
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
    _MINE.where(sessions.c.state == SessionState.OPEN, sessions.c.ends_at > bindparam("now"))
    .order_by(sessions.c.opened_at.desc(), sessions.c.id)
    .limit(bindparam("most"))
)
_MOVE = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"), sessions.c.state == bindparam("before"))
    .values(state=bindparam("after"), ended_at=bindparam("ended"))
)
_SETTLE = (
    update(tokens)
    .where(tokens.c.id == bindparam("token"), tokens.c.state == TokenState.RESERVED)
    .values(state=bindparam("to"), token_sha256=bindparam("sha256"), refusal=bindparam("code"))
)
_HEARTBEAT = (
    update(sessions).where(sessions.c.id == bindparam("session")).values(heartbeat_at=bindparam("at"))
)


class SqlLedger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, principal: Principal, terms: Terms) -> Lease:
        with self._database.write() as connection:
            self._lock(connection, principal)
            if principal.actor is not None:
                self._know(connection, principal.actor)
            now = self._database.now(connection)
            session_id = "ses_" + secrets.token_hex(16)
            ends_at = now + timedelta(seconds=terms.session_seconds)
            connection.execute(
                _ADD_SESSION,
                {
                    "id": session_id,
                    "principal_key": principal.key,
                    "acting_key": principal.actor.key if principal.actor else None,
                    "profile": terms.profile,
                    "model": terms.model,
                    "client": dict(terms.client),
                    "state": SessionState.RESERVED,
                    "opened_at": now,
                    "ends_at": ends_at,
                },
            )
            lease = _reserve_token(
                connection, session_id, True, now, ends_at, terms.slice_seconds, terms.connect_within_seconds
            )
            _intend(connection, now, principal, lease)
            return lease

    def reserve_next(
        self, principal: Principal, session_id: str, slice_seconds: int, connect_within_seconds: int
    ) -> Lease:
        with self._database.write() as connection:
            self._lock(connection, principal)
            now = self._database.now(connection)
            session = _own(connection, principal, session_id)
            if session.state is not SessionState.OPEN or session.ends_at - now < _SHORTEST_SLICE:
                raise _ended(session)
            lease = _reserve_token(
                connection, session_id, False, now, session.ends_at, slice_seconds, connect_within_seconds
            )
            _intend(connection, now, principal, lease)
            return lease

    def confirm(self, principal: Principal, lease: Lease, token_sha256: str) -> None:
        with self._database.write() as connection:
            self._lock(connection, principal)
            now = self._database.now(connection)
            before = SessionState.RESERVED if lease.opens_session else SessionState.OPEN
            if not _moved(connection, lease.session_id, before, SessionState.OPEN, None):
                raise _ended(_own(connection, principal, lease.session_id))
            _settle(connection, lease, TokenState.ISSUED, token_sha256=token_sha256)
            audit.record(
                connection,
                now,
                **_who(principal),
                action="token",
                outcome="ok",
                session_id=lease.session_id,
                token_sha256=token_sha256,
            )

    def void(self, principal: Principal, lease: Lease, refusal_code: str) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            _settle(connection, lease, TokenState.VOID, refusal=refusal_code)
            if lease.opens_session:
                _moved(connection, lease.session_id, SessionState.RESERVED, SessionState.VOID, now)
        # Apart: a trail that cannot be written must not keep the reservation.
        with self._database.write() as connection:
            audit.record(
                connection,
                now,
                **_who(principal),
                action="token",
                outcome=refusal_code,
                session_id=lease.session_id,
            )

    def find(self, principal: Principal, session_id: str) -> Session:
        with self._database.read() as connection:
            return _own(connection, principal, session_id)

    def open_sessions(self, principal: Principal, most: int) -> list[Session]:
        with self._database.read() as connection:
            now = self._database.now(connection)
            values = {"principal": principal.key, "now": now, "most": most}
            return [_session(row, principal) for row in connection.execute(_OPEN, values)]

    def heartbeat(self, principal: Principal, session_id: str) -> Session:
        with self._database.write() as connection:
            now = self._database.now(connection)
            session = _own(connection, principal, session_id)
            connection.execute(_HEARTBEAT, {"session": session_id, "at": now})
        return _as_of(session, now)

    def end(self, principal: Principal, session_id: str) -> Session:
        with self._database.write() as connection:
            now = self._database.now(connection)
            session = _own(connection, principal, session_id)
            if _moved(connection, session_id, SessionState.OPEN, SessionState.ENDED, now):
                user = session.on_behalf_of
                who = _who(principal if user is None else end_user(principal, user))
                audit.record(
                    connection, now, **who, action="session.end", outcome="ok", session_id=session_id
                )
            return _as_of(_own(connection, principal, session_id), now)

    def refused(self, principal: Principal, action: str, code: str) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            audit.record(connection, now, **_who(principal), action=action, outcome=code)

    def _lock(self, connection: Connection, principal: Principal) -> None:
        """Let one reservation of this principal in at a time. SQLite's write transaction already does."""
        if connection.execute(_LOCK, {"principal": principal.key}).scalar_one_or_none() is None:
            self._know(connection, principal)
            connection.execute(_LOCK, {"principal": principal.key})

    def _know(self, connection: Connection, principal: Principal) -> None:
        row = {"key": principal.key, "issuer": principal.issuer, "subject": principal.subject}
        connection.execute(self._database.insert_or_ignore(principals), row)


def _reserve_token(
    connection: Connection,
    session_id: str,
    opens_session: bool,
    now: datetime,
    ends_at: datetime,
    slice_seconds: int,
    connect_within_seconds: int,
) -> Lease:
    expires_at = min(now + timedelta(seconds=slice_seconds), ends_at)
    lease = Lease(
        token_id="tok_" + secrets.token_hex(16),
        session_id=session_id,
        opens_session=opens_session,
        reserved_at=now,
        connect_by=min(now + timedelta(seconds=connect_within_seconds), expires_at),
        expires_at=expires_at,
        ends_at=ends_at,
    )
    connection.execute(
        _ADD_TOKEN,
        {
            "id": lease.token_id,
            "session_id": session_id,
            "state": TokenState.RESERVED,
            "reserved_at": now,
            "connect_by": lease.connect_by,
            "expires_at": expires_at,
        },
    )
    return lease


def _intend(connection: Connection, now: datetime, principal: Principal, lease: Lease) -> None:
    """Before Google is asked: if the trail cannot be written, nothing shall happen that belongs in it."""
    audit.record(
        connection, now, **_who(principal), action="token", outcome="reserved", session_id=lease.session_id
    )


def _own(connection: Connection, principal: Principal, session_id: str) -> Session:
    if not _SESSION_ID.fullmatch(session_id):
        raise Refusal("session-unknown")
    row = connection.execute(_OWN, {"session": session_id, "principal": principal.key}).one_or_none()
    # A session that never came to be is told apart from a foreign one by nobody.
    if row is None or row.state == SessionState.VOID:
        raise Refusal("session-unknown")
    return _session(row, principal)


def _session(row: Row[Any], asker: Principal) -> Session:
    return Session(
        id=row.id,
        profile=row.profile,
        model=row.model,
        state=SessionState(row.state),
        opened_at=row.opened_at,
        ends_at=row.ends_at,
        token_expires_at=row.token_expires_at,
        on_behalf_of=None if row.principal_key == asker.key else row.subject,
    )


def _as_of(session: Session, now: datetime) -> Session:
    if session.state is SessionState.OPEN and session.ends_at <= now:
        return Session(**{**vars(session), "state": SessionState.ENDED})
    return session


def _moved(
    connection: Connection,
    session_id: str,
    before: SessionState,
    after: SessionState,
    ended_at: datetime | None,
) -> bool:
    """Whether the session was in `before` and is now in `after`."""
    values = {"session": session_id, "before": before, "after": after, "ended": ended_at}
    return connection.execute(_MOVE, values).rowcount == 1


def _settle(
    connection: Connection,
    lease: Lease,
    state: TokenState,
    *,
    token_sha256: str | None = None,
    refusal: str | None = None,
) -> None:
    values = {"token": lease.token_id, "to": state, "sha256": token_sha256, "code": refusal}
    connection.execute(_SETTLE, values)


def _ended(session: Session) -> Refusal:
    return Refusal(
        "session-ended", "Open a new session with POST /token.", reason=f"state {session.state.value}"
    )


def _who(principal: Principal) -> dict[str, Any]:
    """Who asked, and for whom: both identities are in every audit row of a service key that acts."""
    asker = principal.asker
    detail = {"on_behalf_of": principal.subject} if principal.actor else None
    return {"actor": f"{asker.issuer}:{asker.subject}", "detail": detail}
