"""Compares other clocks with this host's: Google's, which checks the times of a token, and the database's.

A difference shortens the lifetime of every token, or makes Google reject it. The metric, the log and the
`reason` of a refusal by Google show it.
"""

from __future__ import annotations

import threading
import time
from email.utils import parsedate_to_datetime

import structlog

from broker.telemetry.metrics import CLOCK_AHEAD_SECONDS

# Clocks that NTP synchronizes differ by less than a second.
NOTABLE_SECONDS = 5.0
_log = structlog.get_logger("broker.telemetry")


class ClockWatch:
    """How far one other clock is ahead of this host's, by the last comparison."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._reported = 0.0
        self.ahead_seconds: float | None = None
        """A lower bound of the difference; negative if it is behind. None before the first comparison."""

    def compare(self, shown: float, took_seconds: float, resolution_seconds: float = 0.0) -> None:
        """`shown` is the time of that clock, in seconds since 1970, read during a call that ends now.

        The clock was read at an unknown moment of the call and rounded down to its resolution. The result is
        the part of the difference that neither explains.
        """
        ended = time.time()
        least, most = shown - ended, shown + resolution_seconds - (ended - took_seconds)
        ahead = max(least, 0.0) + min(most, 0.0)
        CLOCK_AHEAD_SECONDS.labels(self._name).set(ahead)
        with self._lock:
            self.ahead_seconds = ahead
            changed = abs(ahead - self._reported) >= NOTABLE_SECONDS
            if changed:
                self._reported = ahead
        if changed:
            _log.warning("clock_differs", clock=self._name, ahead_seconds=round(ahead))

    def difference(self) -> str | None:
        """A notable difference in words; None if there is none, or none is known."""
        ahead = self.ahead_seconds
        if ahead is None or abs(ahead) < NOTABLE_SECONDS:
            return None
        direction = "ahead of" if ahead > 0 else "behind"
        return f"the clock of {self._name} is {abs(ahead):.0f} s {direction} this host's"


GOOGLE = ClockWatch("google")
DATABASE = ClockWatch("database")


def differences() -> list[str]:
    """Every notable difference in words."""
    return [words for clock in (GOOGLE, DATABASE) if (words := clock.difference())]


def compare_date(watch: ClockWatch, date: str, took_seconds: float) -> None:
    """The same for the `Date` of an HTTP response. One that cannot be read is ignored."""
    try:
        shown = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    watch.compare(shown, took_seconds, resolution_seconds=1.0)
