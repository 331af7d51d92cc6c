"""Starts a program for a test, waits until it answers, and ends it.

Every server that a test starts goes through here: gunicorn, PostgreSQL, Redis, Prometheus, Node.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2

_START_SECONDS = 180
_END_SECONDS = 30


class Process:
    """A running program. Its output is appended to `log_path`."""

    def __init__(
        self, command: Sequence[str], *, log_path: Path, answers: Callable[[], bool], **options: Any
    ) -> None:
        """Returns when `answers()` is true. `options` go to `subprocess.Popen`.

        Raises RuntimeError with the log if the program ends first or does not answer within three minutes.
        """
        self.log_path = log_path
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **options)
        self.pid = self._process.pid
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{command[0]} did not start:\n{self.log}")
            time.sleep(0.02)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = _END_SECONDS) -> int:
        """Waits until it has ended, and returns its exit code."""
        return self._process.wait(seconds)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Asks it to end; kills it if it has not ended after 30 seconds."""
        self.send(number)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def responds(url: str) -> bool:
    """Whether a GET of `url` returns 200."""
    try:
        return httpx2.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
