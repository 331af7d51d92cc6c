"""Limits the calls to Google: how many run at once, and when the broker stops trying.

`Bulkhead` refuses a call at once when all its slots are taken, so that threads stay free for other requests.
`CircuitBreaker` opens after several failures in a row, when several calls hang, and at once if Google asks us
to wait. Callers then get the last error at once, and a probe every two seconds finds out whether Google has
recovered.
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
# Callers need not wait for the deadline of five seconds to learn that Google hangs.
HANGING_SECONDS = 2.0
HANGING_TO_OPEN = 5
# A probe that takes longer counts as failed. Google's return is then noticed soon, even while probes hang.
OPEN_SECONDS = 2.0
# After these refusals, more calls would not help. A rejected key or profile is a healthy answer.
UNHEALTHY: frozenset[Code] = frozenset({"upstream-error", "upstream-timeout", "upstream-quota"})


class Bulkhead:
    """At most `max_concurrent` calls at once, behind one circuit breaker."""

    def __init__(self, max_concurrent: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_concurrent = max_concurrent
        self._clock = clock
        self._lock = threading.Lock()
        # A quarter of the calls, but with few slots no more than there are.
        self._breaker = CircuitBreaker(min(max_concurrent, max(HANGING_TO_OPEN, max_concurrent // 4)))

    def check(self) -> None:
        """Raises the refusal that `run` would raise while the breaker is open. Makes no call."""
        with self._lock:
            self._breaker.check(self._clock())

    def run(self, call: Callable[[], T]) -> T:
        """The result of `call`, which raises `Refusal` for every failure of Google."""
        with self._lock:
            running = self._begin()
        failure: Refusal | None = Refusal("upstream-error")
        try:
            answer = call()
            failure = None
        except Refusal as refusal:
            failure = refusal if refusal.code in UNHEALTHY else None
            raise
        finally:
            with self._lock:
                self._breaker.end(running, failure, self._clock())
        return answer

    def run_beside(self, call: Callable[[], T]) -> T:
        """Runs `call` without a slot and without counting its outcome, because no caller waits for it.

        The caller of this method limits how many run at once. While the breaker is open, this method refuses:
        only a call with a slot may be the probe.
        """
        with self._lock:
            now = self._clock()
            self._breaker.check(now)
            if self._breaker.is_open:
                raise self._breaker.refusal(now)
        return call()

    def _begin(self) -> Call:
        now = self._clock()
        self._breaker.check(now)
        if self._breaker.in_flight >= self._max_concurrent:
            if self._breaker.is_open:
                raise self._breaker.refusal(now)
            raise Refusal(
                "busy", reason="too many calls to Google at once", retry_after_seconds=_jitter(1, 3)
            )
        return self._breaker.begin(now)


class Call:
    """A call that runs. `since` is the time when it began."""

    __slots__ = ("since",)

    def __init__(self, since: float) -> None:
        self.since = since


class CircuitBreaker:
    """Closed: every call passes. Open: calls are refused with the code of the last failure, but for probes.

    Its owner has the lock and the clock.
    """

    def __init__(self, hanging_to_open: int) -> None:
        self.is_open = False
        self._hanging_to_open = hanging_to_open
        self._calls: dict[Call, None] = {}
        """Those in flight, the oldest first."""
        self._failures = 0
        self._last_failure: Code = "upstream-error"
        self._next_probe_at = 0.0
        """While open, no call passes before this time."""
        self._judged_from = 0.0
        """Calls that began earlier say nothing about Google as it is now: a later call has succeeded."""
        self._quota_until = 0.0
        """Google asked us to wait until then. No call passes, whatever calls that began earlier return."""

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    def check(self, now: float) -> None:
        """Raises unless a call may begin now."""
        if now < self._quota_until:
            seconds = math.ceil(self._quota_until - now)
            reason = "not tried: Google has asked us to wait"
            raise Refusal("upstream-quota", reason=reason, retry_after_seconds=seconds)
        if not self.is_open and self._hang(now):
            self._open("upstream-timeout", now)
        if self.is_open and now < self._next_probe_at:
            raise self.refusal(now)

    def refusal(self, now: float) -> Refusal:
        remaining = max(0, int(self._next_probe_at - now)) + 1
        return Refusal(
            self._last_failure,
            reason="not tried: the last calls to Google failed or hang",
            retry_after_seconds=_jitter(remaining, remaining + 2),
        )

    def begin(self, now: float) -> Call:
        """While open, this is a probe: the next one begins `OPEN_SECONDS` later."""
        if self.is_open:
            self._next_probe_at = now + OPEN_SECONDS
        call = Call(now)
        self._calls[call] = None
        return call

    def end(self, call: Call, failure: Refusal | None, now: float) -> None:
        """`failure` is the refusal for an unhealthy answer, None for a healthy one."""
        del self._calls[call]
        if failure is None:
            self._succeeded(call, now)
        elif call.since >= self._judged_from or isinstance(failure, QuotaRefusal):
            self._failed(failure, now)

    def _succeeded(self, call: Call, now: float) -> None:
        """A late answer to a call that began before the others is not enough while these hang."""
        self._failures = 0
        if self.is_open:
            self._judged_from, before = max(self._judged_from, call.since), self._judged_from
            if self._hang(now):
                self._judged_from = before
            else:
                self.is_open = False

    def _failed(self, failure: Refusal, now: float) -> None:
        self._failures += 1
        if isinstance(failure, QuotaRefusal) and failure.delay_seconds is not None:
            self._quota_until = max(self._quota_until, now + failure.delay_seconds)
            self._open(failure.code, now)
            self._next_probe_at = self._quota_until
        elif self.is_open:
            self._last_failure = failure.code
        elif self._failures >= FAILURES_TO_OPEN:
            self._open(failure.code, now)

    def _open(self, code: Code, now: float) -> None:
        self.is_open = True
        self._last_failure = code
        self._next_probe_at = now + OPEN_SECONDS

    def _hang(self, now: float) -> bool:
        """Whether so many calls have had no answer for so long that later ones would hang too."""
        hanging = 0
        for call in self._calls:
            if call.since > now - HANGING_SECONDS:
                return False  # and so are all that began later
            hanging += call.since >= self._judged_from
            if hanging >= self._hanging_to_open:
                return True
        return False


def _jitter(least: int, most: int) -> int:
    """Spreads the retries of callers that were refused at the same time."""
    return random.randint(least, most)  # noqa: S311 - nothing secret # nosec B311
