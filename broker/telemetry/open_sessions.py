"""The gauge of open sessions, which the store counts at each scrape."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.errors import Refusal

OPEN_SESSIONS = "broker_open_sessions"
_CACHE_SECONDS = 5.0


class OpenSessions(Collector):
    """A gauge that queries the store. While the store does not answer, it is missing rather than wrong.

    A result is kept for five seconds, so frequent scrapes do not query the store more often.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._last_count: int | None = None

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            refresh = time.monotonic() - self._counted_at >= _CACHE_SECONDS
            if refresh:
                self._counted_at = time.monotonic()
        if refresh:  # other scrapes get the last result and do not wait for a store that hangs
            try:
                self._last_count = self._count()
            except Refusal:
                self._last_count = None
        if (count := self._last_count) is not None:
            yield GaugeMetricFamily(OPEN_SESSIONS, "Sessions that hold a place now.", value=count)
