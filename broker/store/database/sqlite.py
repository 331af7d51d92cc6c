"""SQLite's additions: how a write waits for its turn, and when it is on disk.

SQLite's own waiting sleeps longer each time, up to 100 ms, for a lock that is held for one or two. With
`synchronous=FULL` it also waits for the disk while it holds that lock, and so does every writer of every
worker. Here commits release the lock at once (`synchronous=NORMAL`, which never corrupts the file). They then
wait for the disk together, before any request is answered.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DisconnectionError

from broker.errors import Refusal

# Their sum stays within a request's deadline: a write first waits for its turn and then for the file.
BUSY_SECONDS = 2
TURN_SECONDS = 3
# The write-ahead log grows while something reads for long. Afterwards it shrinks to this size.
_MOST_LOG_BYTES = 16 << 20
# So many changed pages wait in the log until they are copied to the database, each page once. SQLite's 1000
# are those of some 40 tokens, and every copy waits for the disk while it holds the lock.
_PAGES_IN_LOG = 4000
_POLL_SECONDS = 0.0015
_LOCKED = 5  # SQLITE_BUSY
_sync_file = getattr(os, "fdatasync", os.fsync)


class Turn:
    """A lock whose waiters give up after TURN_SECONDS, with `store-unavailable`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=TURN_SECONDS):
            raise Refusal("store-unavailable", reason="no turn to write")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Disk:
    """Waits until commits are on disk. One wait covers every commit that was made before it began."""

    def __init__(self, path: str) -> None:
        # SQLite keeps the log beside the real file, also if the path is a link.
        self._path = Path(f"{os.path.realpath(path)}-wal")
        self._lock = threading.Lock()
        self._asked = 0
        self._done = 0
        self._lost = 0
        self._count = threading.Lock()
        self._file: int | None = None

    def close(self) -> None:
        with self._lock:
            self._forget_file()

    def wait(self) -> None:
        with self._count:
            self._asked += 1
            mine = self._asked
        with self._lock:
            if mine <= self._lost:
                # A disk reports a failed write only once: a later success does not cover earlier commits.
                raise Refusal("store-unavailable", reason="sync: failed for a commit beside this one")
            if self._done >= mine:
                return
            covers = self._asked
            try:
                self._sync()
            except Refusal:
                self._lost = covers
                raise
            self._done = covers

    def _sync(self) -> None:
        # If the log is gone, a checkpoint has written everything to the database file and synced it.
        try:
            with suppress(FileNotFoundError):
                _sync_file(self._open())
        except OSError as fault:
            raise Refusal("store-unavailable", reason=f"sync: {fault.strerror}") from fault

    def _open(self) -> int:
        """Keeps the log open, so that a commit can be synced even if no other file can be opened."""
        now = self._path.stat()
        if self._file is None or not os.path.samestat(now, os.fstat(self._file)):
            self._forget_file()
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._file

    def _forget_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def file_fault(path: str) -> str | None:
    """Why the file cannot be used, with its path; None if it can. Creates a missing file and its folder.

    A new file is readable for its owner only. SQLite gives the files beside it the same permissions.
    """
    file = Path(path).absolute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as fault:
        return f"{file}: {fault.strerror}"
    if not os.access(file.parent, os.W_OK | os.X_OK):
        return f"{file}: its folder cannot be written"
    return None


def usable(path: str | None) -> Callable[..., None]:
    """Listener for SQLAlchemy's event `do_connect`. SQLite's own message has neither path nor reason."""

    def check(*_: Any) -> None:
        if path and (fault := file_fault(path)):
            raise Refusal("store-unavailable", reason=fault)

    return check


def prepare(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None  # `begin` begins the transactions
    # Temporary files would need a writable folder, which a read-only file system may not have.
    sizes = f"journal_size_limit={_MOST_LOG_BYTES}", f"wal_autocheckpoint={_PAGES_IN_LOG}"
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY", *sizes):
        dbapi_connection.execute(f"PRAGMA {pragma}")


def same_file(path: str | None) -> Callable[[Any, Any, Any], None]:
    """Rejects connections to a deleted file. They keep working, but no other process sees their writes."""

    def check(_connection: Any, record: Any, _proxy: Any) -> None:
        try:
            now = os.stat(path or "")  # noqa: PTH116 - a Path takes as long as a statement
        except OSError:
            raise DisconnectionError("the database file is gone") from None
        if record.info.setdefault("file", (now.st_dev, now.st_ino)) != (now.st_dev, now.st_ino):
            raise DisconnectionError("the database file has been replaced")

    return check


def begin(connection: Connection) -> None:
    """Begin a write with BEGIN IMMEDIATE: a deferred BEGIN that becomes a write fails instead of waiting."""
    if not connection.get_execution_options().get("broker_write", False):
        return  # each statement of a read sees what is committed when it begins
    plain: Any = connection.connection.dbapi_connection
    until = time.monotonic() + BUSY_SECONDS
    plain.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < until:
            try:
                plain.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as fault:
                if fault.sqlite_errorcode & 0xFF != _LOCKED:
                    break
                time.sleep(random.uniform(0.5, 1.5) * _POLL_SECONDS)  # noqa: S311 - nothing secret # nosec B311
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises the fault through SQLAlchemy
    finally:
        plain.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
