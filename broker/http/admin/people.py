"""A user or principal as every route of /admin answers one."""

from __future__ import annotations

import math
from typing import cast

from typing_extensions import TypedDict

from broker.http.admin import operator
from broker.http.credentials import Caller
from broker.http.shapes import timestamp_or_none
from broker.net.timestamps import rfc3339
from broker.principal import Overrides
from broker.settings import Plan
from broker.settings.amounts import with_amounts
from broker.store.reporting.people import Person


class Budgets(TypedDict):
    """Amounts are decimal numbers as text. Null: no limit, or no override."""

    budget_per_day: str | None
    budget_per_month: str | None
    minutes_per_month: int | None


class PlanShown(Budgets):
    rate: str
    sessions: int
    minutes_per_day: int
    session_minutes: int


class SharedLimits(Budgets):
    """Those of a team. Null: the team does not limit it, or there is no override."""

    rate: str | None
    sessions: int | None
    minutes_per_day: int | None


class LimitsHeld(PlanShown):
    """The limits that apply, and the rule that decides them."""

    rule: str
    plan: str


class OverridesSet(Budgets):
    """The overrides of one principal; null where its plan decides."""

    plan: str | None
    rate: str | None
    sessions: int | None
    minutes_per_day: int | None
    session_minutes: int | None


class BlockedSince(TypedDict):
    at: str
    reason: str


class UserShown(TypedDict):
    """`limits` are the limits that apply, `overrides` those that an operator has set.

    `team` is known of own users and service keys. Others have it in their credentials.
    """

    key: str
    issuer: str
    subject: str
    name: str
    own: bool
    plan: str
    team: str | None
    roles: list[str]
    blocked: BlockedSince | None
    created_at: str | None
    open_sessions: int
    minutes_today: int
    limits: LimitsHeld
    overrides: OverridesSet
    version: int


def user_shown(caller: Caller, person: Person) -> UserShown:
    limits = operator.limit_admin(caller).of_person(person)
    overrides = person.overrides
    return {
        "key": person.key,
        "issuer": person.issuer,
        "subject": person.subject,
        "name": person.name,
        "own": person.is_own,
        "plan": person.plan or "default",
        "team": person.team,
        "roles": sorted(person.roles),
        "blocked": _blocked(person),
        "created_at": timestamp_or_none(person.created_at),
        "open_sessions": person.open_sessions,
        "minutes_today": math.ceil(person.used_seconds / 60),
        "limits": {"rule": limits.rule, "plan": limits.plan_name, **plan_shown(limits.plan)},
        "overrides": {
            "plan": overrides.plan,
            "rate": overrides.rate,
            "sessions": overrides.sessions,
            "minutes_per_day": overrides.minutes_per_day,
            "session_minutes": overrides.session_minutes,
            **_budgets(overrides),
        },
        "version": person.version,
    }


def plan_shown(plan: Plan) -> PlanShown:
    """The limits of each principal on the plan. Reserved sessions are for all of them together."""
    return {
        "rate": plan.rate,
        "sessions": plan.sessions,
        "minutes_per_day": plan.minutes_per_day,
        "session_minutes": plan.session_minutes,
        **_budgets(plan),
    }


def _budgets(limits: Plan | Overrides) -> Budgets:
    return cast(Budgets, with_amounts({name: getattr(limits, name) for name in Budgets.__annotations__}))


def _blocked(person: Person) -> BlockedSince | None:
    if person.blocked_at is None:
        return None
    return {"at": rfc3339(person.blocked_at), "reason": person.blocked_reason}
