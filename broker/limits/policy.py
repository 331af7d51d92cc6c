"""Policy: which limits apply to a principal, and whose limits its requests are charged to. Pure.

Each limit comes from the first of these that has it: an operator's override for this principal, its plan, and
the plan `default`. For a team, it is an override or the settings. Without either, the team has no such limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.limits.budget import Budget
from broker.limits.quota import UNLIMITED, Quota, Quotas
from broker.principal import Principal
from broker.settings import Plan, Project, Team

_THE_TEAM = "the team"


@dataclass(frozen=True)
class Allowance:
    """A rate and the counter it uses. `whose` names its owner in the refusal; None for the caller's own."""

    rate: str
    scope: str
    key: str
    whose: str | None = None


@dataclass(frozen=True)
class Charged:
    """Someone whose limits a request uses up, with the plan that applies to them."""

    key: str
    plan: Plan
    whose: str | None = None


@dataclass(frozen=True)
class TeamLimits:
    """The team that a request is charged to, with the limits that its members share."""

    name: str
    key: str
    limits: Team
    rule: str
    """Where the limits come from, for people."""


@dataclass(frozen=True)
class PrincipalLimits:
    """Everything that applies to one principal."""

    charged: tuple[Charged, ...]
    """The service key that acts, if there is one; the principal itself is last."""
    quotas: Quotas
    session_seconds: int
    """The longest session; for a user of a service key, the shorter one of both plans."""
    rule: str
    """Where the limits come from, for people."""
    team: TeamLimits | None = None

    @property
    def plan(self) -> Plan:
        return self.charged[-1].plan

    def allowances(self, scope: str) -> list[Allowance]:
        """One request uses up each of these; the principal's own is last."""
        own = [Allowance(one.plan.rate, scope, one.key, one.whose) for one in self.charged]
        if self.team is None or self.team.limits.rate is None:
            return own
        return [Allowance(self.team.limits.rate, scope, self.team.key, _THE_TEAM), *own]


class Policy:
    def __init__(
        self, plans: Mapping[str, Plan], project: Project, teams: Mapping[str, Team] | None = None
    ) -> None:
        self._plans = plans
        self._teams = teams or {}
        self._project_sessions = project.sessions
        self.project_budget = Budget(project.budget_per_day, project.budget_per_month)
        self._reserved = {
            name: plan.reserved_sessions for name, plan in plans.items() if plan.reserved_sessions
        }

    def for_principal(self, principal: Principal) -> PrincipalLimits:
        """A user of a service key is charged to the key and to its own limits; a member, also to its team."""
        charged = [Charged(principal.key, self._plan(principal))]
        if principal.actor is not None:
            charged.insert(0, Charged(principal.actor.key, self._plan(principal.actor), "the service key"))
        team = None if principal.team is None else self.for_team(principal.team)
        return PrincipalLimits(
            tuple(charged),
            self._quotas(principal, charged, team),
            min(one.plan.session_minutes for one in charged) * 60,
            self._rule(principal),
            team,
        )

    def for_team(self, team: Principal) -> TeamLimits:
        """Its own entry, or that of the team `default`, with the overrides."""
        name, own = team.subject, overridden(team)
        entry = name if name in self._teams else "default"
        limits = self._teams.get(entry)
        rule = "no limit" if limits is None else f"team {entry}"
        if own:
            rule = f"own {', '.join(own)}; {rule}"
        return TeamLimits(name, team.key, (limits or Team()).model_copy(update=own), rule)

    def _plan(self, principal: Principal) -> Plan:
        """A plan that the settings no longer name falls back to `default` rather than to no limit."""
        plan = self._plans.get(principal.plan) or self._plans["default"]
        own = overridden(principal)
        # Overrides were validated when they were saved.
        return plan.model_copy(update=own) if own else plan

    def _quotas(self, principal: Principal, charged: list[Charged], team: TeamLimits | None) -> Quotas:
        each = [
            Quota(
                one.key,
                one.plan.sessions,
                one.plan.minutes_per_day,
                one.whose,
                one.plan.forgiven_minutes_per_day,
                Budget(one.plan.budget_per_day, one.plan.budget_per_month, one.plan.minutes_per_month),
            )
            for one in charged
        ]
        if team is not None and (of_team := team_quota(team)).is_limited:
            each.insert(0, of_team)
        # The places of a service key's users come out of the key's plan: it is for the backend as a whole.
        plan = principal.requester.plan
        name = plan if plan in self._plans else "default"
        return Quotas(tuple(each), self._project_sessions, name, self._reserved, self.project_budget)

    def _rule(self, principal: Principal) -> str:
        known = principal.plan in self._plans and principal.plan != "default"
        rule = f"plan {principal.plan}" if known else "default"
        own = overridden(principal)
        return f"own {', '.join(own)}; {rule}" if own else rule


def team_quota(team: TeamLimits) -> Quota:
    limits = team.limits
    return Quota(
        team.key,
        limits.sessions or UNLIMITED,
        limits.minutes_per_day or UNLIMITED,
        _THE_TEAM,
        budget=Budget(limits.budget_per_day, limits.budget_per_month, limits.minutes_per_month),
        is_team=True,
    )


def overridden(principal: Principal) -> dict[str, Any]:
    """The limits for which an operator has set an override."""
    values = vars(principal.overrides)
    return {name: value for name, value in values.items() if name != "plan" and value is not None}
