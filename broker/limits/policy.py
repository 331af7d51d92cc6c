"""Policy: which limits apply to a principal, and whose limits its requests are charged to. Pure.

Each limit comes from the first of these that has it: an operator's override for this principal, its plan, and
the plan `default`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.limits.budget import Budget
from broker.limits.quota import Quota, Quotas
from broker.principal import Principal
from broker.settings import Plan, Project


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
class PrincipalLimits:
    """Everything that applies to one principal."""

    charged: tuple[Charged, ...]
    """The service key that acts, if there is one; the principal itself is last."""
    quotas: Quotas
    session_seconds: int
    """The longest session; for a user of a service key, the shorter one of both plans."""
    rule: str
    """Where the limits come from, for people."""

    @property
    def plan(self) -> Plan:
        return self.charged[-1].plan

    def allowances(self, scope: str) -> list[Allowance]:
        """One request uses up each of these; the principal's own is last."""
        return [Allowance(one.plan.rate, scope, one.key, one.whose) for one in self.charged]


class Policy:
    def __init__(self, plans: Mapping[str, Plan], project: Project) -> None:
        self._plans = plans
        self._project_sessions = project.sessions
        self.project_budget = Budget(project.budget_per_day, project.budget_per_month)
        self._reserved = {
            name: plan.reserved_sessions for name, plan in plans.items() if plan.reserved_sessions
        }

    def for_principal(self, principal: Principal) -> PrincipalLimits:
        """A user of a service key is charged twice: to the key, and to its own limits."""
        charged = [Charged(principal.key, self._plan(principal))]
        if principal.actor is not None:
            charged.insert(0, Charged(principal.actor.key, self._plan(principal.actor), "the service key"))
        return PrincipalLimits(
            tuple(charged),
            self._quotas(principal, charged),
            min(one.plan.session_minutes for one in charged) * 60,
            self._rule(principal),
        )

    def _plan(self, principal: Principal) -> Plan:
        """A plan that the settings no longer name falls back to `default` rather than to no limit."""
        plan = self._plans.get(principal.plan) or self._plans["default"]
        own = _overridden(principal)
        # Overrides were validated when they were saved.
        return plan.model_copy(update=own) if own else plan

    def _quotas(self, principal: Principal, charged: list[Charged]) -> Quotas:
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
        # The places of a service key's users come out of the key's plan: it is for the backend as a whole.
        plan = principal.requester.plan
        name = plan if plan in self._plans else "default"
        return Quotas(tuple(each), self._project_sessions, name, self._reserved, self.project_budget)

    def _rule(self, principal: Principal) -> str:
        known = principal.plan in self._plans and principal.plan != "default"
        rule = f"plan {principal.plan}" if known else "default"
        own = _overridden(principal)
        return f"own {', '.join(own)}; {rule}" if own else rule


def _overridden(principal: Principal) -> dict[str, Any]:
    values = vars(principal.overrides)
    return {name: value for name, value in values.items() if name != "plan" and value is not None}
