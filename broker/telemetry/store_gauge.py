"""Gauges that the store answers when Prometheus asks: open sessions, and whether minting is suspended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.errors import Refusal

_KEPT_SECONDS = 5.0


class StoreGauge(Collector):
    """One gauge. It is absent, rather than wrong, while the store does not answer.

    An answer is kept for five seconds, so frequent scrapes cost the store no more than rare ones.
    """

    def __init__(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        self._name = name
        self._documentation = documentation
        self._read = read
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._found: float | None = None

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            mine = time.monotonic() - self._asked_at >= _KEPT_SECONDS
            if mine:
                self._asked_at = time.monotonic()
        if mine:  # scrapes that come meanwhile get the last answer and do not wait for a store that hangs
            try:
                self._found = self._read()
            except Refusal:
                self._found = None
        if (found := self._found) is not None:
            yield GaugeMetricFamily(self._name, self._documentation, value=found)
