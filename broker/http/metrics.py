"""GET /metrics: all workers of this server, and the open sessions of the store that they share.

For operators, and for a service key with the scope `metrics`: how busy the broker is is nobody else's
business. Needs telemetry.metrics for what there is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, current_app, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from broker.errors import Refusal
from broker.http import guards
from broker.http.credentials import Caller
from broker.telemetry.metrics import DECLARED

bp = Blueprint("metrics", __name__)

OPEN_SESSIONS = "broker_open_sessions"
_KEPT_SECONDS = 5.0


@bp.get("/metrics")
@guards.require_operator_or("metrics")
def show_metrics(_caller: Caller) -> Response:
    registry = CollectorRegistry()
    registry.register(_workers())
    registry.register(current_app.extensions["broker"].open_sessions)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


def _workers() -> Collector:
    """What one process counted; of gunicorn's workers what their files add up to, the dead ones' too."""
    try:
        collector: Collector = MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]
    except ValueError:  # no folder for them: this process is the only one
        return DECLARED
    return collector


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
