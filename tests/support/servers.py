"""BrokerServer: the broker as the Procfile starts it: migrations, then gunicorn with several workers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx2

from broker.identity import passwords
from broker.identity.users import User
from broker.operators.blocks import BlockAdmin
from broker.operators.users import UserAdmin
from broker.principal import Principal, principal_key
from broker.settings import load
from broker.store.accounts.users import SqlUsers
from broker.store.database import migrate
from broker.store.database.engine import Database
from tests.support import warm_python
from tests.support.ports import free_port
from tests.support.process import Process, responds

PASSWORD = "correct horse battery"
_PASSED_ON = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")


class BrokerServer:
    """Use as a context manager. `url` has no slash at its end. `log` is its output so far."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        workers: int = 2,
        threads: int = 16,
        port: int | None = None,
        through: Sequence[str] = (),
    ) -> None:
        """`through`: a command that starts the server's command, such as `taskset` with its options."""
        self._through = through
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log_path = folder / f"broker-{self.port}.log"
        self.environ = {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **environ,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(workers),
            "BROKER_THREADS": str(threads),
        }
        self.settings = load(self.environ)
        self.database = Database(self.settings.database_url.get_secret_value(), pool_size=4)
        self.user_admin = UserAdmin(self.settings, self.database, actor="tests")
        self.block_admin = BlockAdmin(self.settings, self.database, actor="tests")
        self._process: Process | None = None

    @property
    def log(self) -> str:
        return self._log_path.read_text() if self._log_path.exists() else ""

    def __enter__(self) -> Self:
        migrate.upgrade(self.database)
        self.start()
        return self

    def start(self, *, answers_at: str = "/readyz") -> None:
        """Without migrations, for a store that does not answer yet."""
        words = ["--config", "python:broker.gunicorn_conf", "broker.app:create_app()"]
        options: dict[str, Any] = {
            "env": self.environ,
            "log_path": self._log_path,
            "answers": lambda: responds(f"{self.url}{answers_at}"),
        }
        if "LD_PRELOAD" in self.environ or self._through:  # a fork cannot do that
            self._process = Process([*self._through, sys.executable, "-m", "gunicorn", *words], **options)
        else:
            self._process = Process.python("gunicorn", words, **options)

    def __exit__(self, *_: object) -> None:
        self.close()

    def terminate(self) -> None:
        """Sends SIGTERM and does not wait."""
        assert self._process is not None
        self._process.send(signal.SIGTERM)

    def reload(self) -> None:
        """Sends SIGHUP and does not wait."""
        assert self._process is not None
        self._process.send(signal.SIGHUP)

    def exit_code(self) -> int:
        """Waits until it has ended."""
        assert self._process is not None
        return self._process.wait(60)

    def close(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
        self.database.dispose()

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master."""
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[int]:
        """Returns the process ids of its workers, the oldest first."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return sorted(map(int, children.read_text().split()))

    def add_user(
        self,
        username: str,
        password: str = PASSWORD,
        *,
        plan: str = "default",
        roles: Collection[str] = (),
        team: str | None = None,
    ) -> None:
        """Writes the user into the store. Each password is hashed once, because hashing is slow."""
        user = User(username, _hashed(password), plan, frozenset(roles), team=team)
        SqlUsers(self.database).add(user, actor="tests")

    def bearer(self, username: str) -> str:
        """Returns an access token of the user, without a sign-in."""
        return self.user_admin.access_token(username)

    def sign_in(self, username: str, password: str = PASSWORD) -> str:
        """Returns an access token of the user, from POST /auth/login."""
        with self.client() as client:
            answer = client.post("/auth/login", json={"username": username, "password": password})
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def command(self, *words: str, stdin: str = "") -> str:
        """Runs `broker WORDS` on this broker's settings and returns its output."""
        done = warm_python.run("broker.cli", words, env=self.environ, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def client(self, username: str | None = None) -> httpx2.Client:
        """Returns an HTTP client of this broker, with a bearer token if a user name is given."""
        headers = {"Authorization": f"Bearer {self.bearer(username)}"} if username else {}
        return httpx2.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30)


@cache
def _hashed(password: str) -> str:
    return passwords.hash_password(password)


def own_principal(username: str) -> Principal:
    return Principal("live-broker", username, username, "default")


__all__ = ["PASSWORD", "BrokerServer", "free_port", "own_principal", "principal_key"]
