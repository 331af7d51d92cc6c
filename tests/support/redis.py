"""RedisServer: a Redis of the tests' own on a free port and a Unix socket, without persistence."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.support.ports import free_port


class RedisServer:
    """Use as a context manager. `database(n)` is the URL of one of its 64 databases."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="broker-redis-", dir="/tmp"))
        self.socket = self._folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._given = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--unixsocket", str(self.socket), "--dir", str(self._folder), "--databases", "64"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        with redis.Redis.from_url(self._url(0)) as probe:
            while not self._answers(probe):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("Redis did not start")
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # it has nothing to save
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It accepts connections, as a host does whose server hangs, and answers none."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def database(self) -> str:
        """The URL of an empty one that nobody else was given, as long as there are any."""
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
