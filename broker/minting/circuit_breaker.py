"""Gate: how many calls to Google run at once, and when it is better not to try.

Owns the places (a full house answers at once, so that threads stay free for everything else) and the breaker
(after several failures in a row nobody waits for another; one probe at a time finds out whether it is over).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from broker.errors import Code, Refusal

T = TypeVar("T")

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 5.0
# The refusals that say something about Google's health. A rejected key or an empty quota is a healthy answer.
UNHEALTHY: frozenset[Code] = frozenset({"upstream-error", "upstream-timeout"})


class Gate:
    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._breaker = Breaker(clock)

    def run(self, call: Callable[[], T]) -> T:
        """`call` raises `Refusal` for every failure of Google's."""
        if not self._places.acquire(blocking=False):
            raise Refusal(
                "busy", reason="every place for a call to Google is taken", retry_after_seconds=_jitter(1, 3)
            )
        try:
            self._breaker.enter()
            try:
                answer = call()
            except Refusal as refusal:
                self._breaker.leave(refusal.code if refusal.code in UNHEALTHY else None)
                raise
            except BaseException:
                self._breaker.leave("upstream-error")
                raise
            self._breaker.leave(None)
            return answer
        finally:
            self._places.release()


class Breaker:
    """Closed: every call passes. Open: every call is refused with the code of the last failure."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._code: Code = "upstream-error"
        self._probe_at = 0.0
        """While open: no call before this; who passes then pushes it on, so that one probe goes at a time."""

    def enter(self) -> None:
        with self._lock:
            if self._failures < FAILURES_TO_OPEN:
                return
            now = self._clock()
            if now < self._probe_at:
                left = int(self._probe_at - now) + 1
                raise Refusal(
                    self._code,
                    reason="not tried: the last calls to Google failed",
                    retry_after_seconds=_jitter(left, left + 2),
                )
            self._probe_at = now + OPEN_SECONDS

    def leave(self, failure: Code | None) -> None:
        """`failure` is the code of an unhealthy answer, None for a healthy one."""
        with self._lock:
            if failure is None:
                self._failures = 0
                return
            self._failures += 1
            self._code = failure
            self._probe_at = self._clock() + OPEN_SECONDS


def _jitter(least: int, most: int) -> int:
    """Spreads the retries of callers who were refused together."""
    return random.randint(least, most)  # noqa: S311 - nothing secret
