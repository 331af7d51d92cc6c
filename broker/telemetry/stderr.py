"""StderrHandler: writes log lines to stderr without ever making a request wait for their reader.

A pipe whose reader stops is full after 64 KiB, and every further write waits. So lines for a pipe wait in
memory for a thread that writes them. If too many wait, new ones are lost and counted. Lines for a file are
written at once.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
import time
from collections import deque

import structlog

from broker.telemetry.metrics import LOG_LINES_LOST

_STDERR = 2
_MOST_BYTES = 4 << 20
_FLUSH_SECONDS = 1.0
_NAP_SECONDS = 0.01
_log = structlog.get_logger("broker.telemetry")


class StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode(errors="backslashreplace") + b"\n"
        except Exception:  # noqa: BLE001 - a line that cannot be formatted must not cost the answer
            LOG_LINES_LOST.inc()
            return
        _writer.put(line)

    def flush(self) -> None:
        """At the end of the process: waits for the lines that are left, for a second at most."""
        _writer.wait_until_written(_FLUSH_SECONDS)


class _Writer:
    def __init__(self) -> None:
        self._restart()
        # The thread stays in the parent, and so do the lines that wait for it.
        os.register_at_fork(after_in_child=self._restart)

    def _restart(self) -> None:
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        self._thread: threading.Thread | None = None
        self._waits_for_lines = False

    def put(self, line: bytes) -> None:
        with self._changed:
            if self._thread is None and _is_file():
                lost = not _write(line)
            else:
                lost = self._bytes + len(line) > _MOST_BYTES
                if not lost:
                    self._lines.append(line)
                    self._bytes += len(line)
                    if self._waits_for_lines:
                        self._changed.notify_all()
                    self._start()
            self._lost += lost
        if lost:
            LOG_LINES_LOST.inc()

    def wait_until_written(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._lines, seconds)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._waits_for_lines = True
                self._changed.wait_for(lambda: self._lines)
                self._waits_for_lines = False
            while lines := self._next():
                self._write(lines)
            # Requests that end meanwhile need not wake this thread, which costs as much as their line.
            time.sleep(_NAP_SECONDS)

    def _next(self) -> list[bytes]:
        """The oldest lines: as many as a pipe takes at once, without lines of other processes in between."""
        found: list[bytes] = []
        size = 0
        with self._changed:
            for line in self._lines:
                size += len(line)
                if found and size > select.PIPE_BUF:
                    break
                found.append(line)
        return found

    def _write(self, lines: list[bytes]) -> None:
        written = _write(b"".join(lines))
        with self._changed:
            for line in lines:
                self._lines.popleft()
                self._bytes -= len(line)
            self._changed.notify_all()
            lost = self._lost if written else 0
            self._lost = self._lost - lost if written else self._lost + len(lines)
        if lost:
            _log.warning("log_lines_lost", lines=lost)
        if not written:
            LOG_LINES_LOST.inc(len(lines))


def _is_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(_STDERR).st_mode)
    except OSError:
        return True  # it is closed, and writing to it fails at once


def _write(line: bytes) -> bool:
    try:
        while line:
            line = line[os.write(_STDERR, line) :]
    except OSError:  # the reader of the pipe has ended, or the disk is full
        return False
    return True


_writer = _Writer()
