"""SqlClaims: which request with an Idempotency-Key was the first one, and what it got. One row a key."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from broker.errors import Refusal
from broker.idempotency.record import GIVEN_UP, REMEMBERED, Claim, IdempotencyKey, InProgress, StoredResponse
from broker.limits.quota import Quota, QuotaUsage
from broker.sessions.session import Reservation, SessionState
from broker.store.database.engine import Database
from broker.store.database.tables import idempotency, sessions, tokens
from broker.store.ledger import reservation_rows as reservation_rows

_FIND = select(idempotency).where(idempotency.c.key == bindparam("once"))
_LOCKED = _FIND.with_for_update()
_MINE = (idempotency.c.key == bindparam("once"), idempotency.c.claim == bindparam("mine"))
_TAKE = (
    update(idempotency)
    .where(idempotency.c.key == bindparam("once"))
    .values(
        body_sha256=bindparam("body"),
        claim=bindparam("mine"),
        claimed_at=bindparam("at"),
        expires_at=bindparam("until"),
        token_id=None,
        sealed=None,
    )
)
_BIND = update(idempotency).where(*_MINE).values(token_id=bindparam("token"))
_KEEP = update(idempotency).where(*_MINE).values(sealed=bindparam("box"))
_FREE = delete(idempotency).where(*_MINE)
# Whoever adds a row takes a few along that nobody can repeat any more.
_FORGET = delete(idempotency).where(
    idempotency.c.key.in_(
        select(idempotency.c.key).where(idempotency.c.expires_at < bindparam("now")).limit(10)
    )
)
_TOKEN = (
    select(
        tokens,
        sessions.c.profile,
        sessions.c.model,
        sessions.c.state.label("session_state"),
        sessions.c.ends_at,
    )
    .join(sessions, sessions.c.id == tokens.c.session_id)
    .where(tokens.c.id == bindparam("token"))
)


class SqlClaims:
    def __init__(self, database: Database) -> None:
        self._database = database

    def recall(self, once: IdempotencyKey) -> StoredResponse | None:
        with self._database.read() as connection:
            now = self._database.now(connection)
            row = connection.execute(_FIND, {"once": once.key}).one_or_none()
            return None if row is None else _to_json(connection, row, once, now)

    def claim(self, once: IdempotencyKey) -> Claim:
        with self._database.write() as connection:
            now = self._database.now(connection)
            mine = secrets.token_hex(16)
            values = {"body": once.body_sha256, "mine": mine, "at": now, "until": now + REMEMBERED}
            connection.execute(_FORGET, {"now": now})
            self._add(connection, once.key, values)
            row = connection.execute(_LOCKED, {"once": once.key}).one_or_none()
            if row is not None and row.claim == mine:
                return Claim(once.key, mine)
            # Gone in between, or done: whoever asks again is told.
            if row is None or _to_json(connection, row, once, now) is not None:
                raise InProgress
            paid = row.token_id is not None and row.expires_at > now and _taken_back(connection, row, now)
            connection.execute(_TAKE, {"once": once.key, **values})
            return Claim(once.key, mine, paid)

    def free(self, claim: Claim) -> None:
        with self._database.write() as connection:
            free(connection, claim)

    def _add(self, connection: Connection, key: str, values: dict[str, Any]) -> None:
        row = {
            "key": key,
            "body_sha256": values["body"],
            "claim": values["mine"],
            "claimed_at": values["at"],
            "expires_at": values["until"],
        }
        connection.execute(self._database.insert_or_ignore(idempotency), row)


def bind(connection: Connection, claim: Claim, token_id: str) -> None:
    """The first one has reserved its token."""
    _change(connection, _BIND, claim, {"token": token_id})


def keep(connection: Connection, claim: Claim, sealed: bytes) -> None:
    """The first one has got its token."""
    _change(connection, _KEEP, claim, {"box": sealed})


def free(connection: Connection, claim: Claim) -> None:
    connection.execute(_FREE, {"once": claim.key, "mine": claim.id})


def _change(connection: Connection, statement: Any, claim: Claim, values: dict[str, Any]) -> None:
    if not connection.execute(statement, {"once": claim.key, "mine": claim.id, **values}).rowcount:
        # It took so long that a repeat was let in its place.
        raise Refusal("upstream-timeout", reason="the claim of its Idempotency-Key was lost")


def _to_json(
    connection: Connection, row: Row[Any], once: IdempotencyKey, now: datetime
) -> StoredResponse | None:
    if row.expires_at <= now:
        return None
    if row.body_sha256 != once.body_sha256:
        raise Refusal("idempotency-conflict")
    if row.sealed is None:
        if row.claimed_at + GIVEN_UP <= now:
            return None
        raise InProgress
    token = connection.execute(_TOKEN, {"token": row.token_id}).one()
    if token.session_state != SessionState.OPEN or token.ends_at <= now:
        raise Refusal("session-ended", "Open a new session with another Idempotency-Key.")
    reservation = Reservation(
        token_id=token.id,
        session_id=token.session_id,
        opens_session=True,
        reserved_at=now,
        connect_by=token.connect_by,
        expires_at=token.expires_at,
        ends_at=token.ends_at,
        usage=QuotaUsage(Quota(token.principal_key, 0, 0), now, 0, 0),
    )
    return StoredResponse(reservation, token.profile, token.model, bytes(row.sealed))


def _taken_back(connection: Connection, row: Row[Any], now: datetime) -> bool:
    """What a request that died had reserved; its confirmation could only come too late."""
    token = connection.execute(_TOKEN, {"token": row.token_id}).one()
    if reservation_rows.void_session(connection, token.session_id, now):
        reservation_rows.void_token(connection, token.id, "upstream-timeout")
    return True
