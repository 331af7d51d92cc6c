"""The gauge of open sessions, counted by the store when Prometheus asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.errors import Refusal

OPEN_SESSIONS = "broker_open_sessions"
_KEPT_SECONDS = 5.0


class OpenSessions(Collector):
    """A gauge that asks the store; not there while the store does not answer, rather than wrong.

    An answer is kept for some seconds, so that whoever scrapes often asks the store no more for it.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._found: int | None = None

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            mine = time.monotonic() - self._asked_at >= _KEPT_SECONDS
            if mine:
                self._asked_at = time.monotonic()
        if mine:  # whoever comes meanwhile gets the last answer, and does not wait for a store that hangs
            try:
                self._found = self._count()
            except Refusal:
                self._found = None
        if (found := self._found) is not None:
            yield GaugeMetricFamily(OPEN_SESSIONS, "Sessions that hold a place now.", value=found)
