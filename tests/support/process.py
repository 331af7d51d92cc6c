"""Starts a program for a test, waits until it answers, and ends it.

Every server that a test starts goes through here: gunicorn, PostgreSQL, Redis, Prometheus, Node.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx2

from tests.support.warm_python import WarmPython

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
        with log_path.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **options)
        self._wait_for(process, command[0], log_path, answers)

    @classmethod
    def python(
        cls,
        module: str,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        log_path: Path,
        answers: Callable[[], bool],
    ) -> Self:
        """`python -m MODULE WORDS`, without the time that it takes to import large libraries."""
        self = cls.__new__(cls)
        self._wait_for(WarmPython(module, words, env=env, stdout=log_path), module, log_path, answers)
        return self

    def _wait_for(
        self,
        process: subprocess.Popen[bytes] | WarmPython,
        name: str,
        log_path: Path,
        answers: Callable[[], bool],
    ) -> None:
        self._process = process
        self.log_path = log_path
        self.pid = process.pid
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{name} did not start:\n{self.log}")
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
        self._process.wait(_END_SECONDS)


def responds(url: str) -> bool:
    """Whether a GET of `url` returns 200."""
    try:
        return httpx2.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
