"""SharedValue: one figure of a metric, in memory and, if possible, in a file that every worker reads.

Replaces the values of prometheus_client. Those raise if their folder vanishes, and on a full file system they
kill the process. Here a figure never costs an answer: without its file, it is counted in memory only.
"""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import Any
from weakref import WeakSet

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

_FIRST_BYTES = 1 << 16
_log = structlog.get_logger("broker.telemetry")
_lock = threading.Lock()
_folder: Path | None = None
_values: WeakSet[SharedValue] = WeakSet()
_files: dict[str, _Figures | None] = {}
_unreported: dict[str, str] = {}
_files_of: int | None = None


def use_folder(folder: Path | None) -> None:
    """Keep the figures of this process, and of those that it forks, in files of `folder`. None: in memory."""
    global _folder
    with _lock:
        _folder = folder
        _close()
        for value in _values:
            value.store()  # a figure of zero is shown too
    _report()


def install() -> None:
    """Call it before the first metric is declared."""
    values.ValueClass = SharedValue
    # Python would complain about open files, on a stderr that nobody may read.
    atexit.register(use_folder, None)


class SharedValue:
    """The interface that prometheus_client expects of its ValueClass."""

    def __init__(
        self,
        kind: str,
        metric_name: str,
        name: str,
        labelnames: Any,
        labelvalues: Any,
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> None:
        self._prefix = f"{kind}_{multiprocess_mode}" if kind == "gauge" else kind
        self._key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
        self._value = 0.0
        self._timestamp = 0.0
        self._process: int | None = None
        self._exemplar: Any = None
        with _lock:
            _values.add(self)
            self.store()
        _report()

    def inc(self, amount: float) -> None:
        with _lock:
            self._restart_after_fork()
            self._value += amount
            self.store()
        _report()

    def set(self, value: float, timestamp: float | None = None) -> None:
        with _lock:
            self._restart_after_fork()
            self._value, self._timestamp = value, timestamp or 0.0
            self.store()
        _report()

    def get(self) -> float:
        with _lock:
            self._restart_after_fork()
            return self._value

    def set_exemplar(self, exemplar: Any) -> None:
        self._exemplar = exemplar

    def get_exemplar(self) -> Any:
        return self._exemplar

    def _restart_after_fork(self) -> None:
        """The figures of the parent are in the parent's file."""
        if self._process != os.getpid():
            self._process, self._value, self._timestamp = os.getpid(), 0.0, 0.0

    def store(self) -> None:
        """Write it to the file of this process, if there is one. Call it with the lock."""
        figures = _file(self._prefix)
        if figures is None:
            return
        try:
            figures.write_value(self._key, self._value, self._timestamp)  # type: ignore[no-untyped-call]
        except OSError as fault:
            _give_up(self._prefix, fault)


class _Figures(MmapedDict):
    """A file whose space is taken before it is used. A page without space would kill the process."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("xb", buffering=0) as file:
                _fill(file, _FIRST_BYTES)
        except FileExistsError:
            pass  # the process had this id before
        except OSError:
            path.unlink(missing_ok=True)  # a reader would stumble over an empty file
            raise
        super().__init__(str(path))  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        capacity = self._capacity
        while self._used + len(key.encode()) + 32 > capacity:
            capacity *= 2
        if capacity > self._capacity:
            self._f.seek(0, os.SEEK_END)
            _fill(self._f, capacity - self._capacity)
            self._f.flush()
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _fill(file: Any, size: int) -> None:
    while size > 0:
        size -= file.write(bytes(min(size, _FIRST_BYTES)))


def _file(prefix: str) -> _Figures | None:
    """The file of this process for metrics of one kind; None if there is none. Call it with the lock."""
    global _files_of
    if _files_of != os.getpid():
        _files_of = os.getpid()
        _close()  # the parent's, which stay open there
    if prefix not in _files and _folder is not None:
        try:
            _files[prefix] = _Figures(_folder / f"{prefix}_{os.getpid()}.db")
        except OSError as fault:
            _give_up(prefix, fault)
    return _files.get(prefix)


def _close() -> None:
    for figures in _files.values():
        if figures is not None:
            figures.close()  # type: ignore[no-untyped-call]
    _files.clear()


def _give_up(prefix: str, fault: OSError) -> None:
    if figures := _files.pop(prefix, None):
        figures.close()  # type: ignore[no-untyped-call]
    _files[prefix] = None
    _unreported[prefix] = fault.strerror or type(fault).__name__


def _report() -> None:
    """Call it without the lock: the log counts the lines that it loses."""
    while _unreported:
        kind, reason = _unreported.popitem()
        _log.warning("metrics_not_shared", kind=kind, reason=reason)
