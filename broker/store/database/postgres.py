"""Connections to PostgreSQL: their options and their timeouts.

The server's own timeouts end slow statements. They do not help against a silent server or network, so each
statement has a timeout on this side too. Options in the operator's URL override the server-side ones.
"""

from __future__ import annotations

import select
import time
from functools import partial
from typing import Any

from psycopg import Connection as PsycopgConnection
from psycopg import Error as PsycopgError
from psycopg import OperationalError
from psycopg.abc import PQGen
from psycopg.errors import ReadOnlySqlTransaction, _WaitTimeout
from sqlalchemy import URL, Connection, Dialect, Engine, ExceptionContext, event, text
from sqlalchemy.exc import InvalidatePoolError

from broker.store.database.statement import Rows, raise_as_sqlalchemy

# In ms. The last one is for a host that vanishes during a transaction: its locks must not outlive it for
# hours.
_TIMEOUTS = {"statement_timeout": 4000, "lock_timeout": 3000, "idle_in_transaction_session_timeout": 10_000}
_SILENCE_SECONDS = 4.5
_IDLE_SECONDS = 0.5
# An arbitrary number that identifies the migration lock. It must stay the same in all versions.
_MIGRATION_LOCK = 0x6C6976656272


class ImpatientConnection(PsycopgConnection[Any]):
    """A connection that closes if a statement gets no answer for `silence_seconds`."""

    silence_seconds: float | None = _SILENCE_SECONDS

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.silence_seconds if timeout is None else timeout)
        except _WaitTimeout:
            # The answer may still arrive, and must not be taken for the answer to the next statement.
            self.pgconn.finish()
            raise OperationalError("no answer from the server") from None


def connect_args(url: URL) -> dict[str, Any]:
    args: dict[str, Any] = {
        "connect_timeout": 3,
        "tcp_user_timeout": 5000,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    args = {name: value for name, value in args.items() if name not in url.query}
    options = " ".join(f"-c {name}={value}" for name, value in _TIMEOUTS.items())
    # For two options of the same name, the server uses the last one.
    return {**args, "options": f"{options} {url.query.get('options', '')}".strip()}


def listen(engine: Engine) -> None:
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "handle_error", _drop_read_only)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_ping_idle, engine.dialect))


def _connect(_dialect: Any, _record: Any, cargs: Any, cparams: Any) -> ImpatientConnection:
    return ImpatientConnection.connect(*cargs, **cparams)


def _drop_read_only(context: ExceptionContext) -> None:
    """After a failover, a pooled connection may lead to a server that has become read-only. All its later
    transactions would fail. So it counts as broken, and with it every connection of the pool.
    """
    if isinstance(context.original_exception, ReadOnlySqlTransaction):
        context.is_disconnect = True


def _note_use(_connection: Any, record: Any) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_idle(dialect: Dialect, connection: Any, record: Any, _proxy: Any) -> None:
    """A connection that has been idle may be broken.

    One that has just been used is asked only if something has come meanwhile, such as the server's farewell:
    the question costs as much as a statement.
    """
    was_used = time.monotonic() - record.info.get("used_at", float("inf")) < _IDLE_SECONDS
    try:
        if was_used and not _has_received(connection.pgconn.socket):
            return
        dialect.do_ping(connection)
    except PsycopgError:
        # The other idle connections led to the same server.
        raise InvalidatePoolError("no answer on an idle connection") from None


def _has_received(socket: int) -> bool:
    """Whether bytes or an end wait to be read. Nothing comes on an idle connection while all is well."""
    waiting = select.poll()
    waiting.register(socket, select.POLLIN)
    return bool(waiting.poll(0))


def begin_and_run(connection: Connection, query: str) -> Rows:
    """Begin a transaction and run its first statement in one round trip."""
    plain = connection.connection.dbapi_connection
    assert isinstance(plain, ImpatientConnection)
    cursor = plain.cursor()
    try:
        # Not the server's default level: after waiting for a lock, a transaction must see what its holder
        # wrote.
        cursor.execute(f"BEGIN ISOLATION LEVEL READ COMMITTED; {query}".encode(), prepare=False)
        cursor.nextset()
        return Rows(cursor.fetchall(), cursor.rowcount)
    except PsycopgError as fault:
        raise_as_sqlalchemy(connection, fault, query, cursor)
    finally:
        cursor.close()


def prepare_migration(connection: Connection) -> None:
    """Remove all timeouts, and wait until no other host migrates.

    The connection stays without timeouts, so it must not return to the pool.
    """
    driver = connection.connection.driver_connection
    if isinstance(driver, ImpatientConnection):
        driver.silence_seconds = None
    connection.execute(text("SELECT set_config('statement_timeout', '0', true)"))
    connection.execute(text("SELECT set_config('lock_timeout', '0', true)"))
    connection.execute(text("SELECT set_config('idle_in_transaction_session_timeout', '0', true)"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
