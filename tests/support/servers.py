"""BrokerServer: the real thing, as the Procfile starts it: migrations, then gunicorn with several workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

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
from tests.support.ports import free_port

PASSWORD = "correct horse battery"
_PASSED_ON = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")


class BrokerServer:
    """Use as a context manager. `url` has no slash at its end; `log` is all that it wrote so far."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], *, workers: int = 2, threads: int = 16
    ) -> None:
        self.port = free_port()
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
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log_path.read_text() if self._log_path.exists() else ""

    def __enter__(self) -> Self:
        migrate.upgrade(self.database)
        command = [sys.executable, "-m", "gunicorn", "--config", "python:broker.gunicorn_conf"]
        command.append("broker.app:create_app()")
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"the broker did not start:\n{self.log}")
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        assert self._process is not None
        return self._process.wait(60)

    def close(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self.database.dispose()

    def workers(self) -> list[int]:
        """The process ids of its workers, the oldest first."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return sorted(map(int, children.read_text().split()))

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def add_user(
        self, username: str, password: str = PASSWORD, *, plan: str = "default", roles: Collection[str] = ()
    ) -> None:
        """Straight into the store, each password hashed once: that takes longer than a request."""
        user = User(username, _hashed(password), plan, frozenset(roles))
        SqlUsers(self.database).add(user, actor="tests")

    def bearer(self, username: str) -> str:
        """An access token of the user, without going through a sign-in."""
        return self.user_admin.access_token(username)

    def sign_in(self, username: str, password: str = PASSWORD) -> str:
        """An access token of the user, from POST /auth/login."""
        with self.client() as client:
            answer = client.post("/auth/login", json={"username": username, "password": password})
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def client(self, username: str | None = None) -> httpx2.Client:
        """An HTTP client of this broker; with a bearer if a user name is given."""
        headers = {"Authorization": f"Bearer {self.bearer(username)}"} if username else {}
        return httpx2.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30)


@cache
def _hashed(password: str) -> str:
    return passwords.hash_password(password)


def own_principal(username: str) -> Principal:
    return Principal("live-broker", username, username, "default")


__all__ = ["PASSWORD", "BrokerServer", "free_port", "own_principal", "principal_key"]
