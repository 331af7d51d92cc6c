"""Which limits hold for a principal and who is charged. Pure.

Each limit is what an operator has set for this principal, else its plan's, else that of the plan `default`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.limits.quota import Quota, Quotas
from broker.principal import Principal
from broker.settings import Plan


@dataclass(frozen=True)
class Allowance:
    """A rate and what it is counted on. `whose` is for the people who read the refusal."""

    rate: str
    scope: str
    key: str
    whose: str | None = None


class Policy:
    def __init__(self, plans: Mapping[str, Plan], project_sessions: int) -> None:
        self._plans = plans
        self._project_sessions = project_sessions
        self._reserved = {
            name: plan.reserved_sessions for name, plan in plans.items() if plan.reserved_sessions
        }

    def resolve(self, principal: Principal) -> Plan:
        """A plan that the settings no longer name falls back to `default` rather than to no limit."""
        plan = self._plans.get(principal.plan) or self._plans["default"]
        own = _own_limits(principal)
        # What is set was checked when it was set.
        return plan.model_copy(update=own) if own else plan

    def allowances(self, principal: Principal, scope: str) -> list[Allowance]:
        """Whose requests are counted, its own last. A user of a service key uses up both allowances."""
        own = Allowance(self.resolve(principal).rate, scope, principal.key)
        if principal.actor is None:
            return [own]
        acting = self.resolve(principal.actor).rate
        return [Allowance(acting, scope, principal.actor.key, "the service key"), own]

    def quotas(self, principal: Principal) -> Quotas:
        """What its sessions must fit into. Those of a service key's user count for the key as well."""
        of = [_quota(principal, self.resolve(principal))]
        if principal.actor is not None:
            of.insert(0, _quota(principal.actor, self.resolve(principal.actor), "the service key"))
        # For users of a service key, its plan: that one is for the backend as a whole.
        plan = principal.requester.plan
        return Quotas(
            tuple(of), self._project_sessions, plan if plan in self._plans else "default", self._reserved
        )

    def session_seconds(self, principal: Principal) -> int:
        """The longest session; for a user of a service key, the shorter one of both plans."""
        plans = (self.resolve(principal), self.resolve(principal.requester))
        return min(plan.session_minutes for plan in plans) * 60

    def rule(self, principal: Principal) -> str:
        """Which of them decides, for people."""
        known = principal.plan in self._plans and principal.plan != "default"
        rule = f"plan {principal.plan}" if known else "default"
        own = _own_limits(principal)
        return f"own {', '.join(own)}; {rule}" if own else rule


def _own_limits(principal: Principal) -> dict[str, Any]:
    values = vars(principal.overrides)
    return {name: value for name, value in values.items() if name != "plan" and value is not None}


def _quota(principal: Principal, plan: Plan, whose: str | None = None) -> Quota:
    return Quota(principal.key, plan.sessions, plan.minutes_per_day, whose)
