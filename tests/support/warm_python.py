"""Starts the broker's programs without their imports, which take most of a start.

A fork server imports everything once, and each program begins as a copy of it.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

# All that the broker, its commands and gunicorn import. None of it reads the environment at its import.
_PROGRAMS = [
    "broker.app",
    "broker.cli.main",
    "broker.http.gunicorn_worker",
    "gunicorn.app.wsgiapp",
    "alembic.command",
    "google.genai",
    "psycopg",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
]


class WarmPython:
    """`python -m MODULE WORDS` in this environment, with the methods of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        module: str,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path | None = None,
        stdin: Path = Path(os.devnull),
        cwd: Path | None = None,
    ) -> None:
        """Its output is appended to these files; errors go to `stdout` if `stderr` is None."""
        files = [str(stdin), str(stdout), str(stderr or stdout)]
        arguments = (module, list(words), dict(env), files, str(cwd or Path.cwd()))
        context = multiprocessing.get_context("forkserver")
        self._process = _preloaded(context).Process(target=_run, args=arguments, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Returns its exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def run(
    module: str, words: Sequence[str], *, env: Mapping[str, str], stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, as `subprocess.run` does with `capture_output` and `text`. It gets 60 seconds."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
        for file, text in zip(files, (stdin, "", ""), strict=True):
            file.write_text(text)
        process = WarmPython(
            module, words, env=env, stdin=files[0], stdout=files[1], stderr=files[2], cwd=cwd
        )
        try:
            code = process.wait(60)
        finally:
            process.kill()
        return subprocess.CompletedProcess([module, *words], code, files[1].read_text(), files[2].read_text())


def _preloaded(context: ForkServerContext) -> ForkServerContext:
    context.set_forkserver_preload(_PROGRAMS)
    return context


def _run(module: str, words: list[str], env: dict[str, str], files: list[str], cwd: str) -> None:
    for number, name in enumerate(files):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(name, flags, 0o600), number)
    # Otherwise the program reads the input that its parent had, which is closed.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
