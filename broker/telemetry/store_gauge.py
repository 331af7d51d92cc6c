"""Gauges that are read at each scrape: open sessions, whether minting is suspended, the settings in force."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.errors import Refusal

_CACHE_SECONDS = 5.0


class StoreGauge(Collector):
    """One gauge. It is absent, rather than wrong, while the store does not answer.

    An answer is kept for five seconds, so frequent scrapes cost the store no more than rare ones.
    """

    def __init__(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        self._name = name
        self._documentation = documentation
        self._read = read
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._last_value: float | None = None

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            refresh = time.monotonic() - self._read_at >= _CACHE_SECONDS
            if refresh:
                self._read_at = time.monotonic()
        if refresh:  # other scrapes get the last value and do not wait for a store that hangs
            try:
                self._last_value = self._read()
            except Refusal:
                self._last_value = None
        if (value := self._last_value) is not None:
            yield GaugeMetricFamily(self._name, self._documentation, value=value)
