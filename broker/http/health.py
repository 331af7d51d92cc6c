"""Probes: `/healthz` reports that the process answers, `/readyz` that it can mint. Neither gives a reason."""

from __future__ import annotations

from flask import Blueprint
from typing_extensions import TypedDict

from broker.errors import Refusal
from broker.http import guards
from broker.http.draining import DRAIN
from broker.http.responses import operation
from broker.parts import parts

bp = Blueprint("health", __name__)


class Status(TypedDict):
    status: str


class Ready(Status):
    config_digest: str
    """Of the `broker.toml` in force: hosts that differ have different ones."""


@bp.get("/healthz")
@guards.public
@operation("Report that the process answers")
def healthz() -> Status:
    return {"status": "ok"}


@bp.get("/readyz")
@guards.public
@operation("Report that the broker could mint: its stores take writes and the schema is current")
def readyz() -> Ready:
    """Google is not asked: its outage must not take every broker out of service at once."""
    if DRAIN.has_begun:
        raise Refusal("draining")
    parts().readiness.check()
    return {"status": "ready", "config_digest": parts().settings.config_digest}
