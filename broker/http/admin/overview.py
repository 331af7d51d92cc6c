"""GET /admin/overview: the current state at a glance, and the names that the other routes accept."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from flask import Blueprint
from typing_extensions import TypedDict

from broker.http import guards
from broker.http.admin.budgets import NearLimit, ProjectSpent, near_limits, project_spent
from broker.http.admin.people import PlanShown, plan_shown
from broker.http.credentials import Caller
from broker.http.ratelimit import SessionsLeft
from broker.http.responses import operation
from broker.http.shapes import timestamp_or_none
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.principal import GUEST_ISSUER, KEY_ISSUER, OWN_ISSUER
from broker.settings import Settings
from broker.store.reporting.totals import SqlTotals

bp = Blueprint("overview", __name__)


class ProjectShown(TypedDict):
    sessions: SessionsLeft


class Today(TypedDict):
    tokens: int
    refusals: int
    minutes: int


class RefusedActor(TypedDict):
    actor: str
    refusals: int


class LastHour(TypedDict):
    """Refusals by code, and who was refused most, as the audit trail names them."""

    refusals: Mapping[str, int]
    most_refused: list[RefusedActor]


class NamedPlan(PlanShown):
    name: str
    reserved_sessions: int


class Issuer(TypedDict):
    issuer: str
    label: str


class Overview(TypedDict):
    now: str
    version: str
    project: ProjectShown
    today: Today
    last_hour: LastHour
    budgets_near_limits: list[NearLimit]
    spending: ProjectSpent
    first_session_at: str | None
    plans: list[NamedPlan]
    profiles: list[str]
    issuers: list[Issuer]


@bp.get("/overview")
@guards.require_operator
@operation(
    "Show open sessions, today's totals and the last hour's refusals; list plans, profiles and issuers"
)
def overview(_caller: Caller) -> Overview:
    settings = parts().settings
    config, today = settings.config, SqlTotals(parts().database).today()
    return {
        "now": rfc3339(today.now),
        "version": version("live-broker"),
        "project": {"sessions": {"limit": config.project.sessions, "open": today.open_sessions}},
        "today": {"tokens": today.tokens, "refusals": today.refusals, "minutes": today.minutes},
        "last_hour": {
            "refusals": today.last_hour.refusals,
            "most_refused": [
                {"actor": actor, "refusals": number} for actor, number in today.last_hour.by_actor
            ],
        },
        "budgets_near_limits": near_limits(),
        "spending": project_spent(),
        "first_session_at": timestamp_or_none(today.first_session_at),
        "plans": [
            {"name": name, **plan_shown(plan), "reserved_sessions": plan.reserved_sessions}
            for name, plan in config.plans.items()
        ],
        "profiles": list(config.profiles),
        "issuers": _issuers(settings),
    }


def _issuers(settings: Settings) -> list[Issuer]:
    """The issuers whose users may appear in the lists, with the label of each."""
    ours = {OWN_ISSUER: "Own users", KEY_ISSUER: "Service keys"}
    if settings.config.guests.enabled:
        ours[GUEST_ISSUER] = "Guests"
    external = {
        spec.issuer: spec.label or spec.name for spec in settings.config.issuers if spec.kind == "oidc"
    }
    return [{"issuer": issuer, "label": label} for issuer, label in {**ours, **external}.items()]
