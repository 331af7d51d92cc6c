"""The locks under which places and seconds are granted, always taken in the same order.

The order, from first to last:

    idempotency record, rate windows (by key), service key, principal, project, session, token

The lock of the project is that of its row in `places`. Under it, all counts of places are changed. A day's
sums, and then the sums of `spending`, are changed under the locks of the principals, after everything else.

A transaction takes only those that it needs. One that grants, lengthens or frees a place locks everyone for
whom the place counts. One that changes a session or its tokens begins with an UPDATE that names the state
from which it starts (`reservation_rows.moved`), or locks the session before it reads the state. So no two
transactions wait for each other, and none acts on a state that has changed. Counting alone needs no lock.
SQLite has one writer at a time, which is lock enough.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from broker.principal import Principal
from broker.store.accounts.principals import ensure_principal
from broker.store.database.engine import Database
from broker.store.database.statement import Statement
from broker.store.database.tables import principals, sessions

# Built once: putting a statement together takes longer than running it.
_LOCK = Statement(
    select(principals.c.key).where(principals.c.key == bindparam("principal")).with_for_update()
)
# The time is read after the wait for the lock, without a statement of its own.
_LOCK_AND_TIME = Statement(
    text(
        "WITH locked AS (SELECT key FROM principals WHERE key = :principal FOR UPDATE) "
        "SELECT clock_timestamp() FROM locked"
    )
)
_LOCK_SESSION = Statement(
    select(sessions.c.id).where(sessions.c.id == bindparam("session")).with_for_update()
)
_OWNERS = Statement(
    select(sessions.c.principal_key, sessions.c.acting_key).where(sessions.c.id == bindparam("session"))
)


def lock_principal(database: Database, connection: Connection, principal: Principal) -> datetime:
    """Let one request at a time count for this principal, and for the service key that acts for it.

    Returns the time at which the locks were there.
    """
    lock = _LOCK if database.is_sqlite else _LOCK_AND_TIME
    found: Any = None
    for one in (principal.actor, principal):
        if one is not None:
            found = lock.run(connection, {"principal": one.key}).first()
            if found is None:
                ensure_principal(database, connection, one.issuer, one.subject)
                found = lock.run(connection, {"principal": one.key}).first()
    return database.moment(found[0])


def lock_owners(database: Database, connection: Connection, session_id: str) -> None:
    """The same for everyone for whom this session counts."""
    if database.is_sqlite:
        return
    for principal_key, acting_key in _OWNERS.run(connection, {"session": session_id}):
        for key in (acting_key, principal_key):
            if key is not None:
                _LOCK.run(connection, {"principal": key})


def lock_session(database: Database, connection: Connection, session_id: str) -> None:
    """Keep the session's row as it is until this transaction ends. Read its state only after this."""
    if not database.is_sqlite:
        _LOCK_SESSION.run(connection, {"session": session_id})
