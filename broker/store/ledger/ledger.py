"""SqlLedger: sessions and tokens in SQL, one short transaction for each step.

A step that counts takes the locks of `locks` first, so that one request at a time counts. No transaction is
open during the call to Google. `sessions.session` says what a place is and when it becomes free again;
`quota_usage` counts, and `reservation_rows` writes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, update

from broker.errors import Code, Refusal
from broker.limits.forgiveness import may_forgive, next_slice
from broker.limits.quota import SHORTEST_SLICE, Quotas, QuotaUsage, no_session_left, too_many_sessions
from broker.minting.minter import MintedToken
from broker.principal import Principal
from broker.sessions.session import Reservation, Session, SessionState, SessionTerms
from broker.sessions.token_window import first_window, window_for
from broker.store.accounts.standing import is_blocked
from broker.store.audit import RefusalLog
from broker.store.database.engine import Database
from broker.store.database.statement import Statement, Writes
from broker.store.database.tables import sessions
from broker.store.ledger import audit_rows, places
from broker.store.ledger.budget_alerts import note_token
from broker.store.ledger.locks import lock_owners, lock_principal, lock_session
from broker.store.ledger.own_sessions import own_session, placed_sessions
from broker.store.ledger.quota_usage import GRACE, counted
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
from broker.store.ledger.spending import Account, Spending
from broker.store.ledger.unused_tokens import check_unused

_MOST_LISTED = 100
_LISTED = ("id", "profile", "state", "opened_at", "ends_at", "held_until")
# Heartbeats that come faster are not written down: a client could keep the store busy with them.
_BEATS_APART = timedelta(seconds=10)

# Built once: putting a statement together takes longer than running it.
_HEARTBEAT = Statement(
    update(sessions).where(sessions.c.id == bindparam("session")).values(heartbeat_at=bindparam("at"))
)


class SqlLedger:
    def __init__(self, database: Database, spending: Spending | None = None) -> None:
        """Without `spending`, nothing has a price."""
        self._database = database
        self._spending = spending or Spending()
        self._refusals = RefusalLog(database)

    def together(self) -> AbstractContextManager[None]:
        return self._database.together()

    def all_or_nothing(self) -> AbstractContextManager[None]:
        return self._database.all_or_nothing()

    def begin(self) -> bool:
        return False

    def reserve(self, principal: Principal, terms: SessionTerms, quotas: Quotas) -> Reservation:
        with self._database.write() as connection:
            now = lock_principal(self._database, connection, principal)
            account = self._spending.account(terms.model, now)
            usages, free = self._usages(connection, quotas, now, account, needs_place=True)
            window = first_window(now, terms, usages)
            places.make_room(self._database, connection, quotas, now, free)
            if project := self._spending.of_project(connection, quotas, now, account):
                window = first_window(now, terms, [*project, *usages])
            with Writes(connection) as writes:
                session_id = add_session(writes, principal, terms, window, quotas.plan, account)
                places.enter(writes, quotas.plan, principal, now)
                reservation = add_token(
                    writes, principal, session_id, window, usages[-1], account, opens_session=True
                )
            note_token(self._database, connection, principal, [*project, *usages], account, window)
            # Before Google is asked: if the trail cannot be written, no token may be minted.
            audit_rows.record(connection, now, principal, "token", "reserved", reservation.session_id)
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
            lock_principal(self._database, connection, principal)
            # Before the session is read: no one may give its place away from now on.
            places.lock(self._database, connection)
            now = self._database.now(connection)
            session = own_session(connection, principal, session_id)
            if session.state is not SessionState.OPEN or session.ends_at - now < SHORTEST_SLICE:
                raise _ended(session)
            check_unused(connection, session_id, now)
            kept = session.holds_place(now)
            account = self._spending.account(session.model, session.opened_at, session)
            usages, free = self._usages(connection, quotas, now, account, needs_place=not kept)
            usages = [*self._spending.of_project(connection, quotas, now, account), *usages]
            paid_until = max(now, session.token_expires_at or now)
            overlap = (paid_until - now).total_seconds()
            age = (now - session.opened_at).total_seconds()
            length = next_slice(slice_seconds, usages, age=age, overlap=overlap)
            if not may_forgive(usages, min(overlap, length)):
                paid_until = now
            window = window_for(now, paid_until, session.ends_at, length, connect_within_seconds, usages)
            if not kept:
                places.make_room(self._database, connection, quotas, now, free)
            with Writes(connection) as writes:
                reservation = add_token(
                    writes, principal, session_id, window, usages[-1], account, opens_session=False, kept=kept
                )
            # Until the token is confirmed, the session keeps its place at least for the join window.
            until = max(session.held_until, window.connect_by + GRACE)
            if kept:
                hold(connection, session_id, until)
            else:
                places.enter_anew(connection, session_id, quotas.plan, principal, now)
                hold_anew(connection, session_id, until, quotas.plan)
            note_token(self._database, connection, principal, usages, account, window)
            # Before Google is asked: if the trail cannot be written, no token may be minted.
            audit_rows.record(connection, now, principal, "token", "reserved", reservation.session_id)
            return reservation

    def confirm(
        self, principal: Principal, reservation: Reservation, token: MintedToken, mint_ms: int | None = None
    ) -> None:
        with self._database.write() as connection:
            if reservation.opens_session and not self._database.is_sqlite:
                now = lock_principal(self._database, connection, principal)
            else:  # SQLite has one writer at a time: its lock would cost a query
                if not reservation.opens_session:
                    lock_owners(self._database, connection, reservation.session_id)
                    places.lock(self._database, connection)
                now = self._database.now(connection)
            before = SessionState.RESERVED if reservation.opens_session else SessionState.OPEN
            if not moved(connection, reservation.session_id, before, SessionState.OPEN, None):
                raise _ended(own_session(connection, principal, reservation.session_id))
            if now >= reservation.connect_by:
                # Another session may have its place by now, and no client could connect with the token.
                raise Refusal("upstream-timeout", reason="confirmed after the join window")
            if is_blocked(connection, principal):
                raise Refusal("account-blocked", reason="blocked during the mint")
            issue(connection, reservation.token_id, token.sha256, mint_ms)
            if not reservation.opens_session:
                self._lengthen_hold(connection, principal, reservation, now)
            audit_rows.record(connection, now, principal, "token", "ok", reservation.session_id, token)

    def void(self, reservation: Reservation, refusal_code: Code) -> None:
        with self._database.write() as connection:
            lock_owners(self._database, connection, reservation.session_id)
            lock_session(self._database, connection, reservation.session_id)
            now = self._database.now(connection)
            void_token(connection, reservation.token_id, refusal_code)
            if reservation.opens_session:
                void_session(connection, reservation.session_id, now)
            else:
                shorten_hold(connection, reservation.session_id)

    def find(self, principal: Principal, session_id: str) -> Session:
        with self._database.read() as connection:
            return own_session(connection, principal, session_id)

    def placed_sessions(self, principal: Principal, most: int) -> list[Session]:
        with self._database.read() as connection:
            now = self._database.now(connection)
            return [_as_of(one, now) for one in placed_sessions(connection, principal.key, now, most)]

    def usages(self, quotas: Quotas, model: str | None = None) -> tuple[list[QuotaUsage], bool]:
        with self._database.read() as connection:
            now = self._database.now(connection)
            account = self._spending.account(model, now)
            found = [counted(connection, quota, now, label=account.label) for quota in quotas.of]
            of_project = self._spending.of_project(connection, quotas, now, account)
            own = [self._spending.bounded(one.usage, one.spent, account) for one in found]
            return [*of_project, *own], places.is_full(connection, quotas, now)

    def heartbeat(self, principal: Principal, session_id: str) -> Session:
        with self._database.read() as connection:
            session = own_session(connection, principal, session_id)
            now = self._database.now(connection)
        if _is_written(session, now):
            return _as_of(session, now)
        with self._database.write() as connection:
            lengthens = session.token_expires_at is not None and session.held_until < session.token_expires_at
            if lengthens:  # the first heartbeat of a token: no one else may count now
                lock_owners(self._database, connection, session_id)
                places.lock(self._database, connection)
            lock_session(self._database, connection, session_id)
            session = own_session(connection, principal, session_id)
            now = self._database.now(connection)
            _HEARTBEAT.run(connection, {"session": session_id, "at": now})
            expires_at = session.token_expires_at
            if session.state is SessionState.OPEN and expires_at is not None and expires_at > now:
                if lengthens and session.holds_place(now):
                    hold(connection, session_id, max(session.held_until, expires_at))
                elif not session.holds_place(now):
                    # Others may have taken its place while this client may be talking: it has to stop.
                    moved(connection, session_id, SessionState.OPEN, SessionState.ENDED, now)
            return _as_of(own_session(connection, principal, session_id), now)

    def end(self, principal: Principal, session_id: str, quotas: Quotas) -> Session:
        with self._database.write() as connection:
            session = own_session(connection, principal, session_id)
            owner = session.owner(principal)
            lock_owners(self._database, connection, session_id)
            now = self._database.now(connection)
            if moved(connection, session_id, SessionState.OPEN, SessionState.ENDED, now):
                release(connection, session_id, quotas, now)
                self._spending.settle(connection, session_id)
                audit_rows.record(connection, now, owner, "session.end", "ok", session_id)
            return _as_of(own_session(connection, principal, session_id), now)

    def repeated(self, principal: Principal, session_id: str, token: MintedToken) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            audit_rows.record(connection, now, principal, "token", "repeated", session_id, token)

    def refused(self, principal: Principal, action: str, code: Code, session_id: str | None = None) -> None:
        if session_id is None:
            actor, detail = audit_rows.named(principal)
            self._refusals.record(actor=actor, action=action, outcome=code, detail=detail)
            return
        with self._database.write() as connection:  # it completes the record of the reservation
            audit_rows.record(connection, self._database.now(connection), principal, action, code, session_id)

    def _lengthen_hold(
        self, connection: Connection, principal: Principal, reservation: Reservation, now: datetime
    ) -> None:
        """A session that has sent a heartbeat keeps its place for its new token, too.

        It may have lost it in the meantime, if another renewal of it failed.
        """
        session = own_session(connection, principal, reservation.session_id)
        if session.heartbeat_at is not None and session.holds_place(now):
            hold(connection, session.id, max(session.held_until, reservation.expires_at))

    def _usages(
        self, connection: Connection, quotas: Quotas, now: datetime, account: Account, *, needs_place: bool
    ) -> tuple[list[QuotaUsage], int]:
        """How much of each quota is used, and how many counted places of the callers have become free.

        Refuses if a place is needed and there is none.
        """
        found = [counted(connection, quota, now, label=account.label) for quota in quotas.of]
        for number, one in enumerate(found):
            if one.is_stale:
                places.recount_one(self._database, connection, one.usage.quota.key, now)
                found[number] = counted(connection, one.usage.quota, now, label=account.label)
        usages = [self._spending.bounded(one.usage, one.spent, account) for one in found]
        for usage in usages:
            if needs_place and no_session_left(usage):
                # A member must not see the sessions of the others.
                whose = quotas.of[-1] if usage.quota.is_team else usage.quota
                placed = placed_sessions(connection, whose.key, now, _MOST_LISTED)
                listed = [{name: getattr(_as_of(one, now), name) for name in _LISTED} for one in placed]
                raise too_many_sessions(usage, listed)
        return usages, sum(one.free for one in found)


def _is_written(session: Session, now: datetime) -> bool:
    """Whether another heartbeat would change nothing but its time, by a few seconds."""
    last, expires_at = session.heartbeat_at, session.token_expires_at
    if last is None or not now - _BEATS_APART < last <= now:
        return False
    is_over = session.state is not SessionState.OPEN or expires_at is None or expires_at <= now
    return is_over or (expires_at is not None and expires_at <= session.held_until)


def _as_of(session: Session, now: datetime) -> Session:
    if session.state is SessionState.OPEN and session.ends_at <= now:
        return Session(**{**vars(session), "state": SessionState.ENDED})
    return session


def _ended(session: Session) -> Refusal:
    who = "An operator ended this session. " if session.ended_by_operator else ""
    return Refusal(
        "session-ended", f"{who}Open a new session with POST /token.", reason=f"state {session.state.value}"
    )
