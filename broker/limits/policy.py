"""Which limits hold for a principal: its plan's, or the plan `default`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from broker.identity.principal import Principal
from broker.settings import Plan


class Policy:
    def __init__(self, plans: Mapping[str, Plan]) -> None:
        self._plans = plans

    def resolve(self, principal: Principal) -> Plan:
        """A plan that the settings no longer name falls back to `default` rather than to no limit."""
        return self._plans.get(principal.plan) or self._plans["default"]

    def rule(self, principal: Principal) -> str:
        """Which of them decides, for people."""
        known = principal.plan in self._plans and principal.plan != "default"
        return f"plan {principal.plan}" if known else "default"
