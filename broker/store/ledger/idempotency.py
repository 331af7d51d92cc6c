"""SqlIdempotencyRecords: which request with an Idempotency-Key was the first one, and its response.

One row for each key. The column `claim` holds the id of the record that holds the key.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Update, bindparam, delete, select, update

from broker.errors import Refusal
from broker.idempotency.key import IdempotencyKey
from broker.idempotency.record import (
    GIVEN_UP,
    REMEMBERED,
    IdempotencyRecord,
    IdempotencyRecords,
    InProgress,
    StoredResponse,
)
from broker.limits.quota import Quota, QuotaUsage
from broker.sessions.session import Reservation, SessionState
from broker.store.database.engine import Database
from broker.store.database.expired import delete_expired
from broker.store.database.tables import idempotency, sessions, tokens
from broker.store.ledger.locks import lock_owners
from broker.store.ledger.reservation_rows import void_session, void_token

_FIND = select(idempotency).where(idempotency.c.key == bindparam("record_key"))
_LOCKED = _FIND.with_for_update()
_HELD = (idempotency.c.key == bindparam("record_key"), idempotency.c.claim == bindparam("record_id"))
_TAKE = (
    update(idempotency)
    .where(idempotency.c.key == bindparam("record_key"))
    .values(
        body_sha256=bindparam("body"),
        claim=bindparam("record_id"),
        claimed_at=bindparam("at"),
        expires_at=bindparam("until"),
        token_id=None,
        sealed=None,
    )
)
_BIND = update(idempotency).where(*_HELD).values(token_id=bindparam("token"))
_KEEP = update(idempotency).where(*_HELD).values(sealed=bindparam("encrypted"))
_FREE = delete(idempotency).where(*_HELD)
# Each request that adds a row deletes a few expired ones.
_FORGET = delete_expired(idempotency, idempotency.c.key, 10)
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


class SqlIdempotencyRecords(IdempotencyRecords):
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: IdempotencyKey) -> StoredResponse | None:
        with self._database.read() as connection:
            now = self._database.now(connection)
            row = connection.execute(_FIND, {"record_key": key.key}).one_or_none()
            return None if row is None else _response(connection, row, key, now)

    def begin(self, key: IdempotencyKey) -> IdempotencyRecord:
        with self._database.write() as connection:
            now = self._database.now(connection)
            record_id = secrets.token_hex(16)
            values = {"body": key.body_sha256, "record_id": record_id, "at": now, "until": now + REMEMBERED}
            connection.execute(_FORGET, {"now": now})
            self._add(connection, key.key, values)
            row = connection.execute(_LOCKED, {"record_key": key.key}).one_or_none()
            if row is not None and row.claim == record_id:
                return IdempotencyRecord(key.key, record_id)
            # Freed in between, or answered: the caller looks again.
            if row is None or _response(connection, row, key, now) is not None:
                raise InProgress
            counted = row.token_id is not None and row.expires_at > now
            if counted:
                self._void(connection, row.token_id, now)
            connection.execute(_TAKE, {"record_key": key.key, **values})
            return IdempotencyRecord(key.key, record_id, counted)

    def bind(self, record: IdempotencyRecord, reservation: Reservation) -> None:
        self._change(_BIND, record, {"token": reservation.token_id})

    def keep(self, record: IdempotencyRecord, encrypted_token: bytes) -> None:
        self._change(_KEEP, record, {"encrypted": encrypted_token})

    def free(self, record: IdempotencyRecord) -> None:
        with self._database.write() as connection:
            connection.execute(_FREE, {"record_key": record.key, "record_id": record.id})

    def _change(self, statement: Update, record: IdempotencyRecord, values: dict[str, Any]) -> None:
        with self._database.write() as connection:
            changed = connection.execute(
                statement, {"record_key": record.key, "record_id": record.id, **values}
            )
            if not changed.rowcount:
                # It took so long that a repeat took its place.
                raise Refusal("upstream-timeout", reason="another request took over its Idempotency-Key")

    def _void(self, connection: Connection, token_id: str, now: datetime) -> None:
        """A request that died had reserved it; its confirmation could only come too late."""
        token = connection.execute(_TOKEN, {"token": token_id}).one()
        # The request is not counted again. So no lock of a rate window follows, which would be out of order.
        lock_owners(self._database, connection, token.session_id)
        if void_session(connection, token.session_id, now):
            void_token(connection, token.id, "upstream-timeout")

    def _add(self, connection: Connection, key: str, values: dict[str, Any]) -> None:
        row = {
            "key": key,
            "body_sha256": values["body"],
            "claim": values["record_id"],
            "claimed_at": values["at"],
            "expires_at": values["until"],
        }
        connection.execute(self._database.insert_or_ignore(idempotency), row)


def _response(
    connection: Connection, row: Row[Any], key: IdempotencyKey, now: datetime
) -> StoredResponse | None:
    """Returns the row's response to a request with `key`, or None if the request may take over the row."""
    if row.expires_at <= now:
        return None
    if row.body_sha256 != key.body_sha256:
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
