"""Probes: `/healthz` says that the process answers, `/readyz` that it can mint. Neither says why not."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from broker.errors import Refusal
from broker.http import guards
from broker.http.draining import DRAIN
from broker.parts import parts
from broker.store.database import migrate

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@guards.public
def healthz() -> Response:
    return jsonify(status="ok")


@bp.get("/readyz")
@guards.public
def readyz() -> Response:
    """Google is left out: its outage is no reason to take every broker out of service at once."""
    if DRAIN.has_begun:
        raise Refusal("draining")
    if not migrate.is_current(parts().database):
        raise Refusal("store-unavailable", reason="the schema is not current")
    if parts().settings.redis_url is not None:
        parts().rates.check()
    return jsonify(status="ready")
