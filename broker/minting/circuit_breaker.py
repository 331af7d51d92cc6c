"""Limits the calls to Google: how many run at once, and when the broker stops trying.

`Bulkhead` refuses a call at once when all its slots are taken, so that threads stay free for other requests.
`CircuitBreaker` opens after several failures in a row, and at once if Google asks us to wait. Callers then
get the last error at once, and one probe at a time finds out whether Google has recovered.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from broker.errors import Code, Refusal
from broker.minting.errors import QuotaRefusal

T = TypeVar("T")

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 5.0
# After these refusals, more calls would not help. A rejected key or profile is a healthy answer.
UNHEALTHY: frozenset[Code] = frozenset({"upstream-error", "upstream-timeout", "upstream-quota"})


class Bulkhead:
    """At most `max_concurrent` calls at once, behind one circuit breaker."""

    def __init__(self, max_concurrent: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = threading.BoundedSemaphore(max_concurrent)
        self._breaker = CircuitBreaker(clock)

    def run(self, call: Callable[[], T]) -> T:
        """The result of `call`, which raises `Refusal` for every failure of Google."""
        if not self._slots.acquire(blocking=False):
            raise Refusal(
                "busy", reason="too many calls to Google at once", retry_after_seconds=_jitter(1, 3)
            )
        try:
            self._breaker.before_call()
            try:
                answer = call()
            except Refusal as refusal:
                self._breaker.after_call(refusal if refusal.code in UNHEALTHY else None)
                raise
            except BaseException:
                self._breaker.after_call(Refusal("upstream-error"))
                raise
            self._breaker.after_call(None)
            return answer
        finally:
            self._slots.release()

    def run_beside(self, call: Callable[[], T]) -> T:
        """A call that no one waits for: it takes no slot, and its outcome is not counted.

        Whoever makes such calls limits their number. Refuses while the breaker is open: such a call is never
        the probe.
        """
        self._breaker.check_closed()
        return call()


class CircuitBreaker:
    """Closed: every call passes. Open: every call is refused with the code of the last failure."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._last_failure: Code = "upstream-error"
        self._next_probe_at = 0.0
        """While open, no call passes before this time.

        A call that passes moves it, so one probe runs at a time.
        """
        self._quota_until = 0.0
        """Google asked us to wait until then. No call passes, whatever calls that began earlier return."""

    def before_call(self) -> None:
        with self._lock:
            now = self._clock()
            if now < self._quota_until:
                seconds = math.ceil(self._quota_until - now)
                reason = "not tried: Google has asked us to wait"
                raise Refusal("upstream-quota", reason=reason, retry_after_seconds=seconds)
            if self._failures < FAILURES_TO_OPEN:
                return
            if now < self._next_probe_at:
                remaining = int(self._next_probe_at - now) + 1
                raise Refusal(
                    self._last_failure,
                    reason="not tried: the last calls to Google failed",
                    retry_after_seconds=_jitter(remaining, remaining + 2),
                )
            self._next_probe_at = now + OPEN_SECONDS

    def check_closed(self) -> None:
        """Refuses as `before_call` does, and also when a probe is due. Changes nothing."""
        with self._lock:
            if self._failures >= FAILURES_TO_OPEN or self._clock() < self._quota_until:
                raise Refusal(self._last_failure, reason="not tried: the last calls to Google failed")

    def after_call(self, failure: Refusal | None) -> None:
        """`failure` is the refusal for an unhealthy answer, None for a healthy one."""
        with self._lock:
            if failure is None:
                self._failures = 0
                return
            now = self._clock()
            self._failures += 1
            self._last_failure = failure.code
            self._next_probe_at = now + OPEN_SECONDS
            if isinstance(failure, QuotaRefusal) and failure.delay_seconds is not None:
                self._failures = max(self._failures, FAILURES_TO_OPEN)
                self._quota_until = max(self._quota_until, now + failure.delay_seconds)
                self._next_probe_at = self._quota_until


def _jitter(least: int, most: int) -> int:
    """Spreads the retries of callers that were refused at the same time."""
    return random.randint(least, most)  # noqa: S311 - nothing secret # nosec B311
