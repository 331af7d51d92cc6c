"""GET /metrics: all workers of this server, and the open sessions of the store that they share.

For operators, and for a service key with the scope `metrics`: how busy the broker is is nobody else's
business. Needs telemetry.metrics for what there is.
"""

from __future__ import annotations

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from broker.http import guards
from broker.http.credentials import Caller
from broker.parts import parts
from broker.telemetry.metrics import DECLARED

bp = Blueprint("metrics", __name__)

OPEN_SESSIONS = "broker_open_sessions"
_KEPT_SECONDS = 5.0


@bp.get("/metrics")
@guards.require_operator_or("metrics")
def show_metrics(_caller: Caller) -> Response:
    registry = CollectorRegistry()
    registry.register(_workers())
    for gauge in parts().store_gauges:
        registry.register(gauge)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


def _workers() -> Collector:
    """What one process counted; of gunicorn's workers what their files add up to, the dead ones' too."""
    try:
        collector: Collector = MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]
    except ValueError:  # no folder for them: this process is the only one
        return DECLARED
    return collector
