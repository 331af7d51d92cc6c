"""PostgresServer: a PostgreSQL server for the tests, on a free port and in its own folder.

A database is a copy of a template, which takes a few hundredths of a second, so each test has its own.
The server keeps its default of 100 connections. Its time zone is unusual, so code that relies on the
session's time zone fails.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psycopg

from broker.store.database import migrate
from broker.store.database.engine import Database
from tests.support.ports import free_port
from tests.support.process import Process

# The data does not have to survive a crash of the machine.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    # Little write-ahead log, because the tests create many databases.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
}
# For six brokers of two processes at once.
_DURABLE = {"max_connections": "300"}
_TEMPLATE = "broker_template"


class PostgresServer:
    """Use as a context manager. `empty()` and `migrated()` create a database and return its URL."""

    def __init__(self, through: Sequence[str] = (), *, durable: bool = False) -> None:
        """`through`: a command that starts the server's command, such as `prlimit` with its options.

        `durable`: waits for the disk as PostgreSQL does by default.
        """
        self._through = through
        self._options = _DURABLE if durable else _FAST
        self.port = free_port()
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="broker-pg-", dir="/tmp"))
        self._process: Process | None = None
        self._making = threading.Lock()  # PostgreSQL refuses to copy a database that is in use
        self._has_template = False
        self._frozen: list[int] = []

    def __enter__(self) -> Self:
        if self._account:
            shutil.chown(self._folder, self._account.pw_name)
        command = ["initdb", "--auth=trust", "--username=broker", "--encoding=UTF8", "--locale=C"]
        self._run([*command, "--no-sync", "--no-instructions", "--pgdata", str(self._folder / "data")])
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)  # without a last checkpoint, because the folder is removed
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        options = {**self._options, "timezone": "Pacific/Chatham", "port": str(self.port)}
        options |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._folder)}
        command = [_program("postgres"), "-D", str(self._folder / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        log_path = self._folder / "log"
        command = [*self._through, *command]
        self._process = Process(command, log_path=log_path, answers=self._answers, **self._as_account())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends at once: it closes every connection and rolls back every transaction."""
        if self._process is not None:
            self.thaw()
            self._process.end(how)
            self._process = None

    def freeze(self) -> None:
        """Makes it hang: it accepts connections and answers none."""
        assert self._process is not None
        rows = self.execute(self._url("postgres"), "SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL")
        self._frozen = [self._process.pid, *(pid for (pid,) in rows)]
        self._signal_frozen(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_frozen(signal.SIGCONT)
        self._frozen = []

    def _signal_frozen(self, number: signal.Signals) -> None:
        for pid in self._frozen:
            with suppress(ProcessLookupError):  # the process that answered the query has ended
                os.kill(pid, number)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def through_socket(self, url: str) -> str:
        """Returns the URL of the same database through the server's Unix socket, in the usual form."""
        name = url.rpartition("/")[2]
        return f"postgres://broker@/{name}?host={self._folder}&port={self.port}"

    def empty(self) -> str:
        return self._made("template0")

    def migrated(self) -> str:
        """Creates a database with the schema."""
        with self._making:
            if not self._has_template:
                self._run_sql(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
                database = Database(self._url(_TEMPLATE), pool_size=1)
                migrate.upgrade(database)
                database.dispose()
                self._has_template = True
        return self._made(_TEMPLATE)

    def execute(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement on a new connection to the database at `url`."""
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _made(self, template: str) -> str:
        name = f"test_{secrets.token_hex(6)}"
        with self._making:
            self._run_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url(name)

    def _run_sql(self, statement: str) -> None:
        self.execute(self._url("postgres"), statement)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://broker@127.0.0.1:{self.port}/{database}"

    def _answers(self) -> bool:
        try:
            self._run_sql("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, command: list[str]) -> None:
        program, *arguments = command
        done = subprocess.run(
            [_program(program), *arguments], capture_output=True, check=False, **self._as_account()
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{(done.stdout + done.stderr).decode()}")

    def _as_account(self) -> dict[str, Any]:
        """Options for a process that does not run as root, which PostgreSQL refuses."""
        more: dict[str, Any] = {"cwd": self._folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
        if self._account:
            more |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return more


def _account() -> pwd.struct_passwd | None:
    """Returns the account to run as: None for our own, or the one of Debian's package if we are root."""
    return pwd.getpwnam("postgres") if os.getuid() == 0 else None


def _program(name: str) -> str:
    """Finds a program of the newest version: Debian keeps them per version, outside the PATH."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    for folder in sorted(folders, key=lambda path: float(path.parent.name), reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: run scripts/system-packages test")
    return found
