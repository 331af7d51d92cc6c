"""SqlLedger: sessions and tokens in SQL, one short transaction per step.

A reservation locks the principal's row first, so that whatever is counted there (sessions, minutes) is
counted by one request at a time. No transaction is held over the call to Google. What a place among the open
sessions is and when it frees itself is told in `sessions.session`; `store.usages` counts.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from broker.errors import Code, Refusal
from broker.limits.quota import (
    SHORTEST_SLICE,
    Quotas,
    QuotaUsage,
    no_session_left,
    project_capacity,
    too_many_sessions,
)
from broker.minting.minter import MintedToken
from broker.principal import Principal, end_user
from broker.sessions.session import Reservation, Session, SessionState, SessionTerms
from broker.sessions.token_window import window_for
from broker.store import audit
from broker.store.database.engine import Database
from broker.store.database.tables import principals, sessions
from broker.store.ledger.own_sessions import open_sessions, own_session
from broker.store.ledger.quota_usage import (
    GRACE,
    lock_project,
    may_release_early,
    project_is_full,
    usage_of,
)
from broker.store.ledger.reservation_rows import (
    add_session,
    add_token,
    hold,
    hold_anew,
    issue,
    moved,
    release,
    shorten_hold,
    void_session,
    void_token,
)

_MOST_TOLD = 100

# Built once: putting a statement together takes longer than running it.
_LOCK = select(principals.c.key).where(principals.c.key == bindparam("principal")).with_for_update()
_HEARTBEAT = (
    update(sessions).where(sessions.c.id == bindparam("session")).values(heartbeat_at=bindparam("at"))
)
_OWNERS = select(sessions.c.principal_key, sessions.c.acting_key).where(sessions.c.id == bindparam("session"))


class SqlLedger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def together(self) -> AbstractContextManager[None]:
        return self._database.together()

    def all_or_nothing(self) -> AbstractContextManager[None]:
        return self._database.all_or_nothing()

    def begin(self) -> bool:
        return False

    def reserve(self, principal: Principal, terms: SessionTerms, quotas: Quotas) -> Reservation:
        with self._database.write() as connection:
            self._lock(connection, principal)
            now = self._database.now(connection)
            usages = _usages(connection, quotas, now, needs_place=True)
            ends_at = now + timedelta(seconds=terms.session_seconds)
            window = window_for(now, now, ends_at, terms.slice_seconds, terms.connect_within_seconds, usages)
            self._enter_project(connection, quotas, now, needs_place=True)
            session_id = add_session(connection, principal, terms, window, quotas.plan)
            reservation = add_token(connection, principal, session_id, window, usages[-1], opens_session=True)
            _intend(connection, now, principal, reservation)
            return reservation

    def reserve_next(
        self,
        principal: Principal,
        session_id: str,
        slice_seconds: int,
        connect_within_seconds: int,
        quotas: Quotas,
    ) -> Reservation:
        with self._database.write() as connection:
            self._lock(connection, principal)
            now = self._database.now(connection)
            session = own_session(connection, principal, session_id)
            if session.state is not SessionState.OPEN or session.ends_at - now < SHORTEST_SLICE:
                raise _ended(session)
            kept = session.held_until > now
            usages = _usages(connection, quotas, now, needs_place=not kept)
            paid_until = max(now, session.token_expires_at or now)
            if paid_until > now and not may_release_early(connection, principal.key, now):
                paid_until = now
            window = window_for(
                now, paid_until, session.ends_at, slice_seconds, connect_within_seconds, usages
            )
            self._enter_project(connection, quotas, now, needs_place=not kept)
            reservation = add_token(
                connection, principal, session_id, window, usages[-1], opens_session=False, kept=kept
            )
            # Until it is known whether the token came to be: its join window, beside what is held already.
            until = max(session.held_until, window.connect_by + GRACE)
            if kept:
                hold(connection, session_id, until)
            else:
                hold_anew(connection, session_id, until, quotas.plan)
            _intend(connection, now, principal, reservation)
            return reservation

    def confirm(
        self, principal: Principal, reservation: Reservation, token: MintedToken, mint_ms: int | None = None
    ) -> None:
        with self._database.write() as connection:
            if not self._database.is_sqlite:  # which has one writer at a time anyway
                self._lock(connection, principal)
            now = self._database.now(connection)
            before = SessionState.RESERVED if reservation.opens_session else SessionState.OPEN
            if not moved(connection, reservation.session_id, before, SessionState.OPEN, None):
                raise _ended(own_session(connection, principal, reservation.session_id))
            if now >= reservation.connect_by:
                # Its place may be another's by now, and the token could not be used any more.
                raise Refusal("upstream-timeout", reason="confirmed after the join window")
            issue(connection, reservation.token_id, token.sha256, mint_ms)
            if not reservation.opens_session:
                self._lengthen_hold(connection, principal, reservation)
            audit.record(
                connection,
                now,
                **_who(principal),
                action="token",
                outcome="ok",
                session_id=reservation.session_id,
                token_sha256=token.sha256,
            )

    def void(self, reservation: Reservation, refusal_code: Code) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            void_token(connection, reservation.token_id, refusal_code)
            if reservation.opens_session:
                void_session(connection, reservation.session_id, now)
            else:
                shorten_hold(connection, reservation.session_id)

    def find(self, principal: Principal, session_id: str) -> Session:
        with self._database.read() as connection:
            return own_session(connection, principal, session_id)

    def open_sessions(self, principal: Principal, most: int) -> list[Session]:
        with self._database.read() as connection:
            now = self._database.now(connection)
            return list(open_sessions(connection, principal.key, now, most))

    def usages(self, quotas: Quotas) -> tuple[list[QuotaUsage], bool]:
        with self._database.read() as connection:
            now = self._database.now(connection)
            taken = [usage_of(connection, quota, now) for quota in quotas.of]
            return taken, project_is_full(connection, quotas, now)

    def heartbeat(self, principal: Principal, session_id: str) -> Session:
        with self._database.write() as connection:
            session = own_session(connection, principal, session_id)
            expires_at = session.token_expires_at
            if session.state is SessionState.OPEN and expires_at and session.held_until < expires_at:
                # The first of this token. It makes the place last longer, so nobody may be counting.
                self._lock_owner(connection, session_id)
                lock_project(self._database, connection)
                session = own_session(connection, principal, session_id)
            now = self._database.now(connection)
            connection.execute(_HEARTBEAT, {"session": session_id, "at": now})
            expires_at = session.token_expires_at
            if session.state is SessionState.OPEN and expires_at is not None and expires_at > now:
                if session.held_until > now:
                    hold(connection, session_id, max(session.held_until, expires_at))
                else:
                    # Its place was free for others; this client may be talking, so it is told to stop.
                    moved(connection, session_id, SessionState.OPEN, SessionState.ENDED, now)
                session = own_session(connection, principal, session_id)
        return _as_of(session, now)

    def end(self, principal: Principal, session_id: str) -> Session:
        with self._database.write() as connection:
            session = own_session(connection, principal, session_id)
            owner = principal if session.on_behalf_of is None else end_user(principal, session.on_behalf_of)
            self._lock(connection, owner)
            now = self._database.now(connection)
            if moved(connection, session_id, SessionState.OPEN, SessionState.ENDED, now):
                release(connection, owner, session_id, now)
                who = _who(owner)
                audit.record(
                    connection, now, **who, action="session.end", outcome="ok", session_id=session_id
                )
            return _as_of(own_session(connection, principal, session_id), now)

    def repeated(self, principal: Principal, session_id: str, token: MintedToken) -> None:
        with self._database.write() as connection:
            audit.record(
                connection,
                self._database.now(connection),
                **_who(principal),
                action="token",
                outcome="repeated",
                session_id=session_id,
                token_sha256=token.sha256,
            )

    def refused(self, principal: Principal, action: str, code: Code, session_id: str | None = None) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            who = _who(principal)
            audit.record(connection, now, **who, action=action, outcome=code, session_id=session_id)

    def _lock(self, connection: Connection, principal: Principal) -> None:
        """Let one request at a time count for this principal, and for the service key that acts for it.

        The key first, always, so that nobody waits in a circle. SQLite's write transaction does all of it.
        """
        for one in (principal.actor, principal):
            if one is not None and connection.execute(_LOCK, {"principal": one.key}).first() is None:
                self._know(connection, one)
                connection.execute(_LOCK, {"principal": one.key})

    def _lock_owner(self, connection: Connection, session_id: str) -> None:
        keys = connection.execute(_OWNERS, {"session": session_id}).one()
        for key in (keys.acting_key, keys.principal_key):
            if key is not None:
                connection.execute(_LOCK, {"principal": key})

    def _enter_project(
        self, connection: Connection, quotas: Quotas, now: datetime, *, needs_place: bool
    ) -> None:
        lock_project(self._database, connection)
        if needs_place and project_is_full(connection, quotas, now):
            raise project_capacity()

    def _lengthen_hold(self, connection: Connection, principal: Principal, reservation: Reservation) -> None:
        """A session that was heard of keeps its place for its new token, too."""
        session = own_session(connection, principal, reservation.session_id)
        if session.heartbeat_at is not None:
            lock_project(self._database, connection)
            hold(connection, session.id, max(session.held_until, reservation.expires_at))

    def _know(self, connection: Connection, principal: Principal) -> None:
        row = {"key": principal.key, "issuer": principal.issuer, "subject": principal.subject}
        connection.execute(self._database.insert_or_ignore(principals), row)


def _usages(connection: Connection, quotas: Quotas, now: datetime, *, needs_place: bool) -> list[QuotaUsage]:
    """What is taken of each share; refuses if a place is needed and there is none."""
    usages = [usage_of(connection, quota, now) for quota in quotas.of]
    for usage in usages:
        if needs_place and no_session_left(usage):
            raise too_many_sessions(
                usage,
                [
                    {
                        "id": one.id,
                        "profile": one.profile,
                        "opened_at": one.opened_at,
                        "ends_at": one.ends_at,
                    }
                    for one in open_sessions(connection, usage.quota.key, now, _MOST_TOLD)
                ],
            )
    return usages


def _intend(connection: Connection, now: datetime, principal: Principal, reservation: Reservation) -> None:
    """Before Google is asked: if the trail cannot be written, nothing shall happen that belongs in it."""
    audit.record(
        connection,
        now,
        **_who(principal),
        action="token",
        outcome="reserved",
        session_id=reservation.session_id,
    )


def _as_of(session: Session, now: datetime) -> Session:
    if session.state is SessionState.OPEN and session.ends_at <= now:
        return Session(**{**vars(session), "state": SessionState.ENDED})
    return session


def _ended(session: Session) -> Refusal:
    return Refusal(
        "session-ended", "Open a new session with POST /token.", reason=f"state {session.state.value}"
    )


def _who(principal: Principal) -> dict[str, Any]:
    """Who asked, and for whom: both identities are in every audit row of a service key that acts."""
    requester = principal.requester
    detail = {"on_behalf_of": principal.subject} if principal.actor else None
    return {"actor": f"{requester.issuer}:{requester.subject}", "detail": detail}
