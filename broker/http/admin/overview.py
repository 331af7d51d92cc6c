"""GET /admin/overview: the state of the whole at a glance, and the names that the other routes take."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from flask import Blueprint, Response, jsonify

from broker.http import guards
from broker.http.admin import operator as desk
from broker.http.credentials import Caller
from broker.parts import parts
from broker.principal import GUEST_ISSUER, KEY_ISSUER, OWN_ISSUER
from broker.settings import Settings
from broker.store.reporting.totals import SqlTotals

bp = Blueprint("overview", __name__)


@bp.get("/overview")
@guards.require_operator
def overview(_caller: Caller) -> Response:
    settings = parts().settings
    config, today = settings.config, SqlTotals(parts().database).today()
    return jsonify(
        now=desk.time(today.now),
        version=version("live-broker"),
        project={"sessions": {"limit": config.project.sessions, "open": today.open_sessions}},
        today={"tokens": today.tokens, "refusals": today.refusals, "minutes": today.minutes},
        plans=[{"name": name, **plan.model_dump()} for name, plan in config.plans.items()],
        profiles=list(config.profiles),
        issuers=_issuers(settings),
    )


def _issuers(settings: Settings) -> list[dict[str, Any]]:
    """Whose people there may be, as the lists name them."""
    ours = {OWN_ISSUER: "Own users", KEY_ISSUER: "Service keys"}
    if settings.config.guests.enabled:
        ours[GUEST_ISSUER] = "Guests"
    theirs = {spec.issuer: spec.label or spec.name for spec in settings.config.issuers if spec.kind == "oidc"}
    return [{"issuer": issuer, "label": label} for issuer, label in {**ours, **theirs}.items()]
