"""RedisServer: a Redis server for the tests on a free port and a Unix socket, without persistence."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import Self

import redis

from tests.support.ports import free_port
from tests.support.process import Process


class RedisServer:
    """Use as a context manager. `database(n)` is the URL of one of its 64 databases."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="broker-redis-", dir="/tmp"))
        self.socket = self._folder / "redis.sock"
        self._process: Process | None = None
        self._given = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--unixsocket", str(self.socket), "--dir", str(self._folder), "--databases", "64"]
        with redis.Redis.from_url(self._url(0)) as probe:
            self._process = Process(
                command, log_path=self._folder / "log", answers=lambda: self._answers(probe)
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # it has nothing to save
            self._process = None

    def freeze(self) -> None:
        """Makes it hang: it accepts connections and answers none."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(number)

    def database(self) -> str:
        """Returns the URL of an empty database. After 63 calls it empties and returns the first one again."""
        self._given = self._given % 63 + 1
        with redis.Redis.from_url(self._url(self._given)) as connection:
            connection.flushdb()
        return self._url(self._given)

    def _url(self, number: int) -> str:
        return f"redis://127.0.0.1:{self.port}/{number}"

    @staticmethod
    def _answers(probe: redis.Redis) -> bool:
        try:
            return bool(probe.ping())
        except redis.ConnectionError:
            return False
