"""Which limits hold for a principal (its plan's, or the plan `default`) and who is charged. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from broker.identity.principal import Principal
from broker.settings import Plan


@dataclass(frozen=True)
class Allowance:
    """A rate and what it is counted on. `whose` is for the people who read the refusal."""

    rate: str
    scope: str
    key: str
    whose: str | None = None


class Policy:
    def __init__(self, plans: Mapping[str, Plan]) -> None:
        self._plans = plans

    def resolve(self, principal: Principal) -> Plan:
        """A plan that the settings no longer name falls back to `default` rather than to no limit."""
        return self._plans.get(principal.plan) or self._plans["default"]

    def allowances(self, principal: Principal, scope: str) -> list[Allowance]:
        """Whose requests are counted, its own last. A user of a service key uses up both allowances."""
        own = Allowance(self.resolve(principal).rate, scope, principal.key)
        if principal.actor is None:
            return [own]
        acting = self.resolve(principal.actor).rate
        return [Allowance(acting, scope, principal.actor.key, "the service key"), own]

    def session_seconds(self, principal: Principal) -> int:
        """The longest session; for a user of a service key, the shorter one of both plans."""
        plans = (self.resolve(principal), self.resolve(principal.asker))
        return min(plan.session_minutes for plan in plans) * 60

    def rule(self, principal: Principal) -> str:
        """Which of them decides, for people."""
        known = principal.plan in self._plans and principal.plan != "default"
        return f"plan {principal.plan}" if known else "default"
