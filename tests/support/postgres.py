"""PostgresServer: a PostgreSQL of the tests' own on a free port, in a folder of its own.

Databases are made as copies of a template, which takes some hundredths of a second, so each test has its
own. The server keeps its default of 100 connections; its time zone is an odd one, so that whoever relies on
the session's shows it.
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
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from broker.store.database import migrate
from broker.store.database.engine import Database
from tests.support.ports import free_port

# What is lost with the machine is of no use to anybody here.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    # A log that is short, for databases that are many.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "128MB",
}
_TEMPLATE = "broker_template"


class PostgresServer:
    """Use as a context manager. `empty()` and `migrated()` make a database and return its URL."""

    def __init__(self) -> None:
        self.port = free_port()
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="broker-pg-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self._making = threading.Lock()  # a database that is being copied must not be in use
        self._has_template = False
        self._frozen: list[int] = []

    def __enter__(self) -> Self:
        if self._account:
            shutil.chown(self._folder, self._account.pw_name)
        command = ["initdb", "--auth=trust", "--username=broker", "--encoding=UTF8", "--locale=C"]
        self._run([*command, "--no-sync", "--no-instructions", "--pgdata", str(self._folder / "data")])
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGQUIT)  # what it would write down now is removed anyway
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        options = {**_FAST, "timezone": "Pacific/Chatham", "port": str(self.port)}
        options |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._folder)}
        command = [_program("postgres"), "-D", str(self._folder / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as_account())
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """At once: connections are broken and transactions rolled back."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(how)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It accepts connections, as a host does whose server hangs, and answers none."""
        assert self._process is not None
        rows = self.execute(self._url("postgres"), "SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL")
        self._frozen = [self._process.pid, *(pid for (pid,) in rows)]
        self._signal_frozen(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_frozen(signal.SIGCONT)
        self._frozen = []

    def _signal_frozen(self, number: signal.Signals) -> None:
        for pid in self._frozen:
            with suppress(ProcessLookupError):  # the one that was asked for the others is gone
                os.kill(pid, number)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def through_socket(self, url: str) -> str:
        """The same database by the server's Unix socket, in the form in which people write such a URL."""
        name = url.rpartition("/")[2]
        return f"postgres://broker@/{name}?host={self._folder}&port={self.port}"

    def empty(self) -> str:
        return self._made("template0")

    def migrated(self) -> str:
        """With the schema in it."""
        with self._making:
            if not self._has_template:
                self._run_sql(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
                database = Database(self._url(_TEMPLATE), pool_size=1)
                migrate.upgrade(database)
                database.dispose()
                self._has_template = True
        return self._made(_TEMPLATE)

    def execute(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        """On a connection of its own to the database that `url` names."""
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            # Statements of the tests' own making.
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
        """PostgreSQL refuses to run as root."""
        more: dict[str, Any] = {"cwd": self._folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
        if self._account:
            more |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return more


def _account() -> pwd.struct_passwd | None:
    """Whom to run as: ourselves, or the account that Debian's package made if we are root."""
    return pwd.getpwnam("postgres") if os.getuid() == 0 else None


def _program(name: str) -> str:
    """Debian keeps the server's programs off the PATH, per version; the newest one is taken."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    for folder in sorted(folders, key=lambda path: float(path.parent.name), reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: run scripts/system-packages test")
    return found
