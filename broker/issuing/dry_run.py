"""The dry run of `POST /token`: which rule decides, what is left, and how the next request would be answered.

It makes the checks of `issue.TokenIssuer.open_session` in the same order, up to the reservation, and counts
and writes nothing. It leaves out what only Google or an attestation can decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from broker.errors import LimitState, Refusal
from broker.limits import quota as quotas
from broker.limits.budget import bound_to_json
from broker.limits.limiter import Rates, rate_refusal, used_up
from broker.limits.policy import Allowance, Policy, PrincipalLimits, TeamLimits
from broker.limits.quota import QuotaUsage
from broker.net.timestamps import rfc3339
from broker.principal import Principal
from broker.profiles.catalog import Catalog
from broker.sessions import suspension
from broker.sessions.session import Ledger, Session
from broker.sessions.suspension import Suspensions
from broker.settings import Plan
from broker.settings.amounts import with_amounts

_MOST_LISTED = 100


@dataclass(frozen=True)
class TeamUse:
    """The caller's team: its limits, the state of its rate, and its usage. None of what it does not limit."""

    limits: TeamLimits
    rates: Sequence[LimitState]
    usage: QuotaUsage | None

    def to_json(self) -> dict[str, Any]:
        """For operators."""
        usage = self.usage
        return {
            "name": self.limits.name,
            "rule": self.limits.rule,
            "limits": with_amounts(self.limits.limits.model_dump()),
            "left": [rate.to_json() for rate in self.rates],
            "open_sessions": usage and usage.open,
            "used_minutes": usage and usage.used_minutes,
            "budgets": [bound_to_json(bound) for bound in usage.bounds] if usage else [],
        }


@dataclass(frozen=True)
class DryRun:
    rule: str
    """Where the limits come from: `plan NAME`, or `default` for a principal without a plan of its own."""
    limits: Plan
    profile: str
    rates: Sequence[LimitState]
    usage: QuotaUsage
    team: TeamUse | None
    placed: Sequence[Session]
    """The principal's sessions that hold a place, newest first."""
    refusal: Refusal | None
    """The refusal that the next `POST /token` would get; None if it would get a token."""

    @property
    def answer(self) -> str:
        return self.refusal.code if self.refusal else "granted"

    def to_json(self) -> dict[str, Any]:
        """For operators, in `broker explain --json` and in the admin API."""
        refusal = self.refusal
        return {
            "profile": self.profile,
            "rule": self.rule,
            "limits": with_amounts(self.limits.of_one()),
            "budgets": [bound_to_json(bound) for bound in self.usage.bounds],
            "left": [rate.to_json() for rate in self.rates],
            "open_sessions": self.usage.open,
            "sessions": [
                {
                    "id": one.id,
                    "state": one.state.value,
                    "opened_at": rfc3339(one.opened_at),
                    "held_until": rfc3339(one.held_until),
                }
                for one in self.placed
            ],
            "used_minutes": self.usage.used_minutes,
            "forgiven_minutes": self.usage.forgiven_minutes,
            "team": self.team and self.team.to_json(),
            "answer": self.answer,
            "status": refusal.status if refusal else 200,
            "detail": (refusal.detail or refusal.title) if refusal else None,
        }


class DryRuns:
    def __init__(
        self,
        *,
        policy: Policy,
        rates: Rates,
        catalog: Catalog,
        ledger: Ledger,
        suspensions: Suspensions,
    ) -> None:
        self._policy = policy
        self._rates = rates
        self._catalog = catalog
        self._ledger = ledger
        self._suspensions = suspensions

    def preview(
        self, principal: Principal, profile: str | None = None, also: Sequence[Allowance] = ()
    ) -> DryRun:
        """`also` would be counted besides what the principal is charged."""
        limits = self._policy.for_principal(principal)
        rates = self._rates.left_of(limits.allowances("token"))
        name = self._catalog.default_name if profile is None else profile
        usages, project_is_full = self._ledger.usages(limits.quotas, self._model(name))
        refusal = (
            suspension.refusal(self._suspensions.current(), name, renewal=False)
            or self._used_up([*also, *limits.allowances("token")[:-1]])
            or self._refusal(principal, name, rates)
            or _no_room(usages)
            or (quotas.project_capacity() if project_is_full else None)
        )
        placed = self._ledger.placed_sessions(principal, _MOST_LISTED)
        team = self._team(limits, usages)
        return DryRun(limits.rule, limits.plan, name, rates, usages[-1], team, placed, refusal)

    def _team(self, limits: PrincipalLimits, usages: Sequence[QuotaUsage]) -> TeamUse | None:
        team = limits.team
        if team is None:
            return None
        rate = team.limits.rate
        left = self._rates.left(rate, "token", team.key) if rate else ()
        return TeamUse(team, left, next((one for one in usages if one.quota.is_team), None))

    def _model(self, profile: str) -> str | None:
        found = self._catalog.find(profile)
        return next(iter(found.models), None) if found else None

    def _used_up(self, allowances: Sequence[Allowance]) -> Refusal | None:
        for allowance in allowances:
            left = self._rates.left(allowance.rate, allowance.scope, allowance.key)
            if used_up(left):
                return rate_refusal("rate-limited", left, whose=allowance.whose)
        return None

    def _refusal(self, principal: Principal, profile: str, rates: Sequence[LimitState]) -> Refusal | None:
        if used_up(rates):
            return rate_refusal("rate-limited", rates)
        try:
            self._catalog.admit(profile, principal)
        except Refusal as refusal:
            return refusal
        return None


def _no_room(usages: Sequence[QuotaUsage]) -> Refusal | None:
    """Every quota of sessions before any quota of minutes, in the order of the ledger."""
    for usage in usages:
        if quotas.no_session_left(usage):
            return quotas.too_many_sessions(usage, ())
    for usage in usages:
        if quotas.no_time_left(usage):
            return quotas.exhausted(usage)
    return None
