"""Database: connections, transactions and the one clock that all workers share.

Owns how a transaction begins and how its failure is reported. SQLite begins every write with BEGIN IMMEDIATE:
a deferred BEGIN that later turns into a write fails at once with "database is locked" instead of waiting. Any
fault of the store becomes the Refusal `store-unavailable`, so that no token is minted without the store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Executable, Table, create_engine, event, text
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from broker.errors import STORE_FAULTS, Refusal
from broker.store.database import schema, sqlite
from broker.store.database.statement import Rows, Statement, run_sql

# No transaction is open during a call to Google, so a process needs far fewer connections than threads.
# PostgreSQL's default is 100 for all processes of all hosts.
MOST_CONNECTIONS = 16
_POOL_SECONDS = 2.0
_RETRY_SECONDS = 0.25
Clock = Callable[[], datetime]
Kind = Literal["read", "write"]
_ADVISORY_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_TIME = Statement(text("SELECT clock_timestamp()"))


class Database:
    """One engine per process; make it after the fork. `clock` replaces the shared clock in tests."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 16,
        most_connections: int = MOST_CONNECTIONS,
        clock: Clock | None = None,
        timed: Callable[[Kind], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        """`timed` surrounds each transaction, and may measure it."""
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._clock = clock
        self._timed = timed
        self.is_disposed = False
        options: dict[str, Any] = {"hide_parameters": True}
        # SQLite has begun before: see `sqlite.begin`.
        self._begin_and_run: Callable[[Connection, str], Rows] = run_sql
        if self.is_sqlite:
            options["connect_args"] = {"timeout": sqlite.BUSY_SECONDS, "check_same_thread": False}
        else:
            from broker.store.database import postgres  # with its driver, which takes long to load

            options["connect_args"] = postgres.connect_args(parsed)
            self._begin_and_run = postgres.begin_and_run
            # Not the server's default: after waiting for a lock, a transaction must see what its holder
            # wrote.
            options["isolation_level"] = "READ COMMITTED"
            pool_size = min(pool_size, most_connections)
        self.engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_POOL_SECONDS,
            # The connection that was used last has the pages that it needs, or its statements prepared.
            pool_use_lifo=True,
            **options,
        )
        # Views of the engine, because setting options on each connection takes longer than a statement.
        # PostgreSQL: each statement of a read sees what is committed when it begins, with or without a
        # transaction. Without one, a read needs two round trips fewer. A write begins its own.
        each = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._readers = self.engine.execution_options(**each)
        self._writers = self.engine.execution_options(broker_write=True, **each)
        self._returned = threading.Condition()
        self._returns = 0
        event.listen(self.engine, "checkin", self._announce_returned)
        if not self.is_sqlite:
            postgres.listen(self.engine)
        else:
            event.listen(self.engine, "do_connect", sqlite.usable(parsed.database))
            event.listen(self.engine, "connect", sqlite.prepare)
            event.listen(self.engine, "begin", sqlite.begin)
            event.listen(self.engine, "checkout", sqlite.same_file(parsed.database))
        # SQLite admits one writer at a time, and its waiters poll. The threads of this process queue here, so
        # that only one of them polls.
        self._write_turn = sqlite.Turn() if self.is_sqlite else nullcontext()
        self._disk = sqlite.Disk(parsed.database) if self.is_sqlite and parsed.database else None
        self._joined = threading.local()

    @contextmanager
    def together(self) -> Iterator[None]:
        """All reads and writes of this thread inside are one transaction that may write.

        A Refusal from inside is an answer, and what was written before it is kept; unless it is the store's
        own, which like any other exception leaves nothing. Without a refusal the disk is not waited for: that
        is left to the `write` which completes what was begun here.
        """
        answer: Refusal | None = None
        with self._timed("write"), self._transaction() as connection, self._join(connection):
            try:
                yield
            except Refusal as refusal:
                if refusal.code in STORE_FAULTS:
                    raise
                answer = refusal
        if answer is not None:
            self._wait_for_disk()
            raise answer

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """All reads and writes of this thread inside are one `write`; within `together`, a part of that."""
        with self.write() as connection, self._join(connection):
            yield

    @contextmanager
    def _join(self, connection: Connection) -> Iterator[None]:
        outer, self._joined.connection = self._joined_connection(), connection
        try:
            yield
        finally:
            self._joined.connection = outer

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write: committed and on disk at the end, rolled back on any exception."""
        if (joined := self._joined_connection()) is not None:
            with _store_faults():
                yield joined
            return
        with self._timed("write"):
            with self._transaction() as connection:
                yield connection
            self._wait_for_disk()

    def after_commit(self, act: Callable[[], None]) -> None:
        """Run `act` once this thread's transaction is committed, and never if it is not."""
        self._joined.after_commit.append(act)

    @contextmanager
    def _transaction(self, *, any_schema: bool = False) -> Iterator[Connection]:
        waiting: list[Callable[[], None]] = []
        self._joined.after_commit = waiting
        with self._committed(any_schema=any_schema) as connection:
            yield connection
        for act in waiting:
            act()

    @contextmanager
    def _committed(self, *, any_schema: bool) -> Iterator[Connection]:
        with (
            _store_faults(),
            self._write_turn,
            self._connect(self._writers) as connection,
            connection.begin(),
        ):
            if any_schema:
                self._begin_and_run(connection, "SELECT 1")
            else:
                schema.require_current(connection, self._begin_and_run)
            yield connection

    def _connect(self, engine: Engine) -> Connection:
        """A connection of the pool. If the server admits no more, waits for one that is in use.

        The server may admit fewer connections than the pool: for this role, or because other processes have
        taken them. As long as this process uses one, a fault of a new one is a reason to wait for that.
        """
        until = time.monotonic() + _POOL_SECONDS
        while True:
            returns = self._returns
            try:
                return engine.connect()
            except OperationalError:
                left = until - time.monotonic()
                one_came_back = self._returns != returns  # during the attempt: all may be idle now
                if self.is_sqlite or left <= 0 or not (one_came_back or self._in_use()):
                    raise
                if not one_came_back:
                    with self._returned:
                        self._returned.wait(min(left, _RETRY_SECONDS))

    def _in_use(self) -> int:
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def _announce_returned(self, *_: object) -> None:
        with self._returned:
            self._returns += 1
            self._returned.notify()

    def _wait_for_disk(self) -> None:
        """Called without the lock, so that other writers do not wait too. PostgreSQL's commit has waited."""
        if self._disk is not None:
            self._disk.wait()

    @contextmanager
    def migration(self) -> Iterator[Connection]:
        """A transaction without time limits, on any schema. Concurrent migrations run one after another."""
        with self._transaction(any_schema=True) as connection:
            if not self.is_sqlite:
                from broker.store.database import postgres

                postgres.prepare_migration(connection)
                connection.detach()
            yield connection
        self._wait_for_disk()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if (joined := self._joined_connection()) is not None:
            with _store_faults():
                yield joined
            return
        with (
            _store_faults(),
            self._timed("read"),
            self._connect(self._readers) as connection,
            connection.begin(),
        ):
            yield connection

    def _joined_connection(self) -> Connection | None:
        connection: Connection | None = getattr(self._joined, "connection", None)
        return connection

    def now(self, connection: Connection) -> datetime:
        """The time by the clock that all workers share: the database server's, or this host's for SQLite."""
        if self._clock is not None:
            return self._clock()
        if self.is_sqlite:
            return datetime.now(UTC)
        return self.moment(_TIME.run(connection).scalar())

    def moment(self, server_time: Any) -> datetime:
        """The same, if a statement has selected the server's `clock_timestamp()` already."""
        if self._clock is not None:
            return self._clock()
        return datetime.now(UTC) if self.is_sqlite else server_time.astimezone(UTC)

    def lock(self, connection: Connection, name: str) -> None:
        """Wait until no other transaction holds the lock `name`. SQLite has one writer at a time anyway."""
        if not self.is_sqlite:
            connection.execute(_ADVISORY_LOCK, {"name": name})

    def insert_or_ignore(self, table: Table) -> Executable:
        """An INSERT that does nothing if the row exists. Pass the values when executing it."""
        if self.is_sqlite:
            return sqlite_insert(table).on_conflict_do_nothing()
        from sqlalchemy.dialects.postgresql import insert

        return insert(table).on_conflict_do_nothing()

    def dispose(self) -> None:
        """Close every connection. Threads check `is_disposed` before they open another one."""
        self.is_disposed = True
        self.engine.dispose()
        if self._disk is not None:
            self._disk.close()


def file_fault(url: str) -> str | None:
    """Why the file of an SQLite database cannot be used, with its path. None if it can, or for a server."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return sqlite.file_fault(parsed.database)


@contextmanager
def _store_faults() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # not a fault of the store: the caller knows what it means
    except (DBAPIError, PoolTimeoutError) as fault:
        cause = fault.orig if isinstance(fault, DBAPIError) else fault
        raise Refusal("store-unavailable", reason=f"{type(cause).__name__}: {cause}") from fault
