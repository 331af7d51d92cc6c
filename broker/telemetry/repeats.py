"""Aggregates repeated events: the first of each kind is written at once, its repeats are counted.

After a minute, their count is written as one more event. So a caller that is refused a thousand times a
minute cannot fill the disk, and every refusal is counted. Each process counts its own. A thread writes the
counts that are due, and `write_all` the rest at the end of the process. A process that is killed loses the
counts of the current minute.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from broker.telemetry.request_context import current_request_id

S = TypeVar("S")
WINDOW_SECONDS = 60.0
MOST_KINDS = 1000
"""If there are more, the least recently seen kind is written early."""
MOST_OF_ONE_CALLER = 50
_TICK_SECONDS = 1.0
_RETRY_SECONDS = 10.0


@dataclass
class Counted(Generic[S]):
    """`sample` describes the last of `times` events. It happened at `last_at` by the clock of `Repeats`."""

    sample: S
    times: int
    last_at: float


@dataclass
class _Window(Generic[S]):
    caller: str
    opened_at: float
    counted: Counted[S] | None = None


@dataclass(frozen=True)
class Kind(Generic[S]):
    """Events with an equal `key` are of one kind. `sample` describes the event that has just happened."""

    key: Hashable
    sample: S


class Repeats(Generic[S]):
    def __init__(
        self,
        write: Callable[[Sequence[Counted[S]]], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST_KINDS,
    ) -> None:
        """If `write` raises, it gets the same counts again later."""
        self._write = write
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._windows: OrderedDict[Hashable, _Window[S]] = OrderedDict()
        self._kinds_of: Counter[str] = Counter()
        self._due: dict[Hashable, Counted[S]] = {}
        self._failed_at: float | None = None
        self._closed_at = -math.inf
        _ticker.watch(self)

    def is_first(self, caller: str, kind: Kind[S], rest: Kind[S]) -> bool:
        """True for the first event of its kind in a minute, which must be written now. Counts its repeats.

        One `caller` has at most `MOST_OF_ONE_CALLER` kinds. Its further events count as `rest`, which has few
        kinds.
        """
        now = self._clock()
        with self._lock:
            if (caller, kind.key) not in self._windows and self._has_too_many(caller, now):
                kind = rest
            key = (caller, kind.key)
            window = self._windows.get(key)
            if first := window is None or now - window.opened_at >= WINDOW_SECONDS:
                self._close(key)
                self._windows[key] = _Window(caller, now)
                self._kinds_of[caller] += 1
                if len(self._windows) > self._most:
                    self._close(next(iter(self._windows)))
            else:
                self._windows.move_to_end(key)
                times = window.counted.times if window.counted else 0
                window.counted = Counted(kind.sample, times + 1, now)
        if not first:
            _ticker.wake()
        return first

    def forget_first(self, caller: str, kind: Kind[S]) -> None:
        """Call this if the first event could not be written. Repeats that were counted since are kept."""
        with self._lock:
            self._close((caller, kind.key))
        _ticker.wake()

    @property
    def has_counts(self) -> bool:
        with self._lock:
            return bool(self._due) or any(window.counted for window in self._windows.values())

    def write_due(self, *, all_of_them: bool = False) -> None:
        """Write the counts of every window that is over. If that fails, keep them and log the fault once."""
        now = self._clock()
        with self._turn:
            if not all_of_them and self._failed_at is not None and now - self._failed_at < _RETRY_SECONDS:
                return
            with self._lock:
                self._close_all(math.inf if all_of_them else now)
                due, self._due = self._due, {}
            if not due:
                return
            try:
                self._write(list(due.values()))
            except Exception as fault:  # noqa: BLE001 - a store may fail in any way, uncaught elsewhere
                if self._failed_at is None:
                    times = sum(counted.times for counted in due.values())
                    _warn(times=times, error=type(fault).__name__)
                self._failed_at = now
                with self._lock:
                    for key, counted in due.items():
                        self._add_due(key, counted)
            else:
                self._failed_at = None

    def _has_too_many(self, caller: str, now: float) -> bool:
        if self._kinds_of.get(caller, 0) >= MOST_OF_ONE_CALLER and now - self._closed_at >= _TICK_SECONDS:
            self._close_all(now)
        return self._kinds_of.get(caller, 0) >= MOST_OF_ONE_CALLER

    def _close_all(self, now: float) -> None:
        """Close the windows that are over."""
        self._closed_at = now if now < math.inf else self._closed_at
        for key, window in list(self._windows.items()):
            if now - window.opened_at >= WINDOW_SECONDS:
                self._close(key)

    def _close(self, key: Hashable) -> None:
        window = self._windows.pop(key, None)
        if window is None:
            return
        self._kinds_of[window.caller] -= 1
        if not self._kinds_of[window.caller]:
            del self._kinds_of[window.caller]
        if window.counted is not None:
            self._add_due(key, window.counted)

    def _add_due(self, key: Hashable, counted: Counted[S]) -> None:
        if (other := self._due.pop(key, None)) is not None:
            last = max(counted, other, key=lambda one: one.last_at)
            counted = Counted(last.sample, counted.times + other.times, last.last_at)
        self._due[key] = counted
        if len(self._due) > 10 * self._most:  # only while the store fails
            del self._due[next(iter(self._due))]


class RepeatedLines:
    """Aggregates log lines of one event. A line with `times` represents that many repeats of the first."""

    def __init__(self, line: Callable[..., object]) -> None:
        self._line = line
        self._repeats: Repeats[dict[str, Any]] = Repeats(self._write)

    def log(
        self, caller: str, same: Mapping[str, Any], *, also: Mapping[str, Any] | None = None, **further: Any
    ) -> None:
        """Log a line with all fields of `same` and `further`, or count it.

        A caller's events are of one kind if all these fields are equal. If it has too many kinds, only the
        fields of `same` are compared. Only lines with `times` have the fields of `also`.
        """
        fields, known = {**same, **further}, {**(also or {}), "request_id": current_request_id()}
        kind, rest = Kind(_key(fields), {**fields, **known}), Kind(_key(same), {**same, **known})
        if self._repeats.is_first(caller, kind, rest):
            self._line(**fields)

    def _write(self, counts: Sequence[Counted[dict[str, Any]]]) -> None:
        for counted in counts:
            self._line(**counted.sample, times=counted.times)


def _key(fields: Mapping[str, Any]) -> Hashable:
    return tuple((name, str(value)) for name, value in fields.items())


def _warn(**fields: object) -> None:
    import structlog  # only now: most commands log nothing, and never load it

    _log = structlog.get_logger("broker.telemetry")
    _log.warning("repeats_not_written", **fields)


def write_all() -> None:
    """Write all counts, at the end of the process."""
    for repeats in _ticker.watched():
        repeats.write_due(all_of_them=True)


class _Ticker:
    """One thread for all `Repeats` of this process. It waits while there is nothing to write."""

    def __init__(self) -> None:
        self._restart()
        # A child starts without counts: the parent writes its own.
        os.register_at_fork(after_in_child=self._restart)

    def _restart(self) -> None:
        self._changed = threading.Condition()
        self._watched: weakref.WeakSet[Repeats[Any]] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._is_awake = False

    def watch(self, repeats: Repeats[Any]) -> None:
        with self._changed:
            self._watched.add(repeats)

    def watched(self) -> list[Repeats[Any]]:
        with self._changed:
            return list(self._watched)

    def wake(self) -> None:
        if self._is_awake:
            return
        with self._changed:
            self._is_awake = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="repeats", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_awake)
                self._is_awake = False
            while self._tick():
                pass

    def _tick(self) -> bool:
        """Wait, write the counts that are due, and return whether more are left."""
        time.sleep(_TICK_SECONDS)
        watched = self.watched()
        for repeats in watched:
            repeats.write_due()
        return any(repeats.has_counts for repeats in watched)


_ticker = _Ticker()
