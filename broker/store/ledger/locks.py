"""The locks under which places and seconds are granted, always taken in the same order.

The order, from first to last:

    idempotency record, rate windows (by key), team, service key, principal, project, session, token

The team comes first because a service key can also be the principal of its own session: for its users and
for itself, the order is then the same. The three are locked by one statement.

The lock of the project is that of its row in `places`. Under it, all counts of places are changed. A day's
sums, and then the sums of `spending`, are changed under the locks of the principals, after everything else.

A transaction takes only those that it needs. One that grants, lengthens or frees a place locks everyone for
whom the place counts. One that changes a session or its tokens begins with an UPDATE that names the state
from which it starts (`reservation_rows.moved`), or locks the session before it reads the state. So no two
transactions wait for each other, and none acts on a state that has changed. Counting alone needs no lock.
SQLite has one writer at a time, which is lock enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, bindparam, select, text

from broker.principal import Principal
from broker.store.accounts.principals import ensure_principal
from broker.store.database.engine import Database
from broker.store.database.statement import Rows, Statement
from broker.store.database.tables import sessions

# Built once: putting a statement together takes longer than running it.
_LOCK_SESSION = Statement(
    select(sessions.c.id).where(sessions.c.id == bindparam("session")).with_for_update()
)
_OWNERS = Statement(
    select(sessions.c.team_key, sessions.c.acting_key, sessions.c.principal_key).where(
        sessions.c.id == bindparam("session")
    )
)


@cache
def _found(number: int) -> str:
    names = ", ".join(f":key{one}" for one in range(number))
    return f"SELECT key FROM principals WHERE key IN ({names})"  # noqa: S608 # nosec B608


@cache
def _one_after_another(number: int, *, locks: bool) -> Statement:
    """So many rows, locked in the order of the names. The time is read after the wait for the last one."""
    if not locks:
        return Statement(text(_found(number)))
    order = " ".join(f"WHEN :key{one} THEN {one}" for one in range(number))
    return Statement(
        text(
            f"WITH locked AS ({_found(number)} ORDER BY CASE key {order} END FOR UPDATE) "  # noqa: S608 # nosec B608
            "SELECT clock_timestamp() FROM locked"
        )
    )


def lock_principal(database: Database, connection: Connection, principal: Principal) -> datetime:
    """Let one request at a time count for this principal, its team, and the service key that acts for it.

    Returns the time at which the locks were there.
    """
    charged = principal.charged
    keys = [one.key for one in charged]
    found = lock_keys(database, connection, keys)
    if len(found) < len(charged):
        for one in charged:
            ensure_principal(database, connection, one.issuer, one.subject)
        found = lock_keys(database, connection, keys)
    return database.moment(found[-1][0])


def lock_keys(database: Database, connection: Connection, keys: Sequence[str]) -> Rows:
    """Lock these rows of `principals` in their order: teams, service keys, others. Returns those it found."""
    values = {f"key{number}": key for number, key in enumerate(keys)}
    return _one_after_another(len(keys), locks=not database.is_sqlite).run(connection, values)


def lock_owners(database: Database, connection: Connection, session_id: str) -> None:
    """The same for everyone for whom this session counts."""
    if database.is_sqlite:
        return
    for owners in _OWNERS.run(connection, {"session": session_id}):
        lock_keys(database, connection, [key for key in owners if key is not None])


def lock_session(database: Database, connection: Connection, session_id: str) -> None:
    """Keep the session's row as it is until this transaction ends. Read its state only after this."""
    if not database.is_sqlite:
        _LOCK_SESSION.run(connection, {"session": session_id})
