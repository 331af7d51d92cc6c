"""GET /metrics: all workers of this server, and the open sessions of the store that they share.

Only operators and service keys with the scope `metrics` may see how busy the broker is. The metrics are
declared in telemetry.metrics.
"""

from __future__ import annotations

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from broker.http import guards
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.parts import parts
from broker.telemetry.metrics import DECLARED

bp = Blueprint("metrics", __name__)


@bp.get("/metrics")
@guards.require_operator_or("metrics")
@operation("Prometheus metrics of all workers of this server", media="text/plain")
def show_metrics(_caller: Caller) -> Response:
    registry = CollectorRegistry()
    registry.register(_workers())
    for gauge in parts().store_gauges:
        registry.register(gauge)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


def _workers() -> Collector:
    """The counts of this process, or the sum over gunicorn's workers, workers that have ended included."""
    try:
        collector: Collector = MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]
    except ValueError:  # no folder for the files: this process is the only one
        return DECLARED
    return collector
