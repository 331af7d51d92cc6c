"""Quota: how many sessions at once and how many seconds of talk a day one principal may have.

Pure. The ledger counts under its locks and decides here; the dry run counts without locks and decides here
too, so both give the same answer. A day is a day in UTC by the store's clock.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from broker.errors import LimitState, Refusal
from broker.limits.budget import LEAST_SECONDS, NO_BUDGET, Bound, Budget
from broker.settings.amounts import NANOS_OF_MILLIONTH

DAY_SECONDS = 86400
SHORTEST_SLICE = timedelta(seconds=LEAST_SECONDS)
_PROJECT_RETRY_SECONDS = 10
PROJECT = "project"
"""The key of the whole project, among those of principals."""
UNLIMITED = sys.maxsize // 60
"""A number of sessions or of minutes that no one reaches."""


@dataclass(frozen=True)
class Quota:
    """`whose` names its owner in the refusal; None for the caller's own."""

    key: str
    sessions: int
    minutes_per_day: int
    whose: str | None = None
    forgiven_minutes_per_day: int | None = None
    """None for as many as `minutes_per_day`."""
    budget: Budget = NO_BUDGET
    is_team: bool = False

    @property
    def is_limited(self) -> bool:
        return bool(self.budget) or min(self.sessions, self.minutes_per_day) < UNLIMITED

    @property
    def most_forgiven_seconds(self) -> int:
        minutes = self.forgiven_minutes_per_day
        return (self.minutes_per_day if minutes is None else minutes) * 60


@dataclass(frozen=True)
class Quotas:
    """Everything that a reservation must fit into.

    `of` holds the quotas of the team and of the service key that acts, if there are any, and last the
    principal's. `reserved` says how many of the project's places are kept for each plan; `plan` is the
    requester's.
    """

    of: tuple[Quota, ...]
    project_sessions: int
    plan: str = ""
    reserved: Mapping[str, int] = field(default_factory=dict)
    project_budget: Budget = NO_BUDGET


@dataclass(frozen=True)
class QuotaUsage:
    """How much of a quota is used at `now`."""

    quota: Quota
    now: datetime
    open: int
    used_seconds: int
    frees_at: datetime | None = None
    """When the first open session loses its place, if nothing happens until then."""
    forgiven_seconds: int = 0
    """Of today's tokens: the seconds that they could be used for and are not charged."""
    bounds: tuple[Bound, ...] = ()
    """How much of each budget is used."""

    def with_more(self, nanos: int, seconds: int) -> QuotaUsage:
        """After a charge of so much. Only the budgets are those after it."""
        return replace(self, bounds=tuple(bound.with_more(nanos, seconds) for bound in self.bounds))

    @property
    def left_seconds(self) -> int:
        """As many as every limit has left."""
        if not self.bounds:
            return self.left_today
        return min(self.left_today, *(bound.left_seconds for bound in self.bounds))

    @property
    def left_today(self) -> int:
        """Seconds of `minutes_per_day`."""
        return max(0, self.quota.minutes_per_day * 60 - self.used_seconds)

    @property
    def left_to_forgive(self) -> int:
        """Seconds."""
        return max(0, self.quota.most_forgiven_seconds - self.forgiven_seconds)

    @property
    def used_minutes(self) -> int:
        """A started minute counts as used."""
        return math.ceil(self.used_seconds / 60)

    @property
    def forgiven_minutes(self) -> int:
        return math.ceil(self.forgiven_seconds / 60)

    @property
    def resets_in(self) -> int:
        """Seconds until the next day begins."""
        return max(1, math.ceil((day_of(self.now) + timedelta(days=1) - self.now).total_seconds()))


def day_of(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def no_session_left(usage: QuotaUsage) -> bool:
    return usage.open >= usage.quota.sessions


def project_is_full(quotas: Quotas, taken: Mapping[str, int]) -> bool:
    """`taken` says how many places each plan uses. A place that is kept for another plan is not free."""
    kept = sum(
        max(0, places - taken.get(plan, 0)) for plan, places in quotas.reserved.items() if plan != quotas.plan
    )
    return sum(taken.values()) + kept >= quotas.project_sessions


def no_time_left(usage: QuotaUsage) -> bool:
    return usage.left_seconds < SHORTEST_SLICE.total_seconds()


def too_many_sessions(usage: QuotaUsage, sessions: Sequence[Mapping[str, Any]]) -> Refusal:
    """`sessions` hold the places; their times are datetimes. An app can offer to end an open one, or wait."""
    quota = usage.quota
    wait = 1.0 if usage.frees_at is None else (usage.frees_at - usage.now).total_seconds()
    return Refusal(
        "too-many-sessions",
        f"{usage.open} of {quota.sessions} sessions{_of(quota)} are open.",
        hint="End an open one with POST /sessions/{id}/end, or wait until a place becomes free.",
        retry_after_seconds=max(1, math.ceil(wait)),
        limits=quota_states(usage),
        extensions={"violated-policies": ["sessions"], "sessions": list(sessions)},
    )


def exhausted(usage: QuotaUsage) -> Refusal:
    """By the limit that has the least left."""
    scarcest = min(usage.bounds, key=lambda bound: bound.left_seconds, default=None)
    if scarcest is None or usage.left_today <= scarcest.left_seconds:
        return _minutes_exhausted(usage)
    period, at = scarcest.period.name, f"{scarcest.period.ends_at:%Y-%m-%d %H:%M} UTC"
    return Refusal(
        "minutes-exhausted" if scarcest.currency is None else "budget-exhausted",
        f"This {period}'s {_size(scarcest, usage.quota)} used up. A new {period} begins at {at}.",
        retry_after_seconds=scarcest.period.seconds_left(usage.now),
        limits=() if usage.quota.key == PROJECT else quota_states(usage),
        extensions={"violated-policies": [scarcest.policy]},
    )


def _size(bound: Bound, quota: Quota) -> str:
    """Without amounts of money: the profile decides who sees them, and a refusal does not know it."""
    if bound.currency is None:
        return f"{bound.limit // 60} minutes{_of(quota)} are"
    return f"budget{_of(quota)} is"


def _minutes_exhausted(usage: QuotaUsage) -> Refusal:
    quota = usage.quota
    return Refusal(
        "minutes-exhausted",
        f"Today's {quota.minutes_per_day} minutes{_of(quota)} are used up. A new day begins at 00:00 UTC.",
        retry_after_seconds=usage.resets_in,
        limits=quota_states(usage),
        extensions={"violated-policies": ["minutes_per_day"]},
    )


def project_quota(quotas: Quotas) -> Quota:
    """The project as an owner of a budget, without limits on sessions or on the minutes of a day."""
    return Quota(PROJECT, UNLIMITED, UNLIMITED, "the service", budget=quotas.project_budget)


def project_capacity() -> Refusal:
    """Without numbers: how many places there are concerns only the operator."""
    return Refusal("project-capacity", retry_after_seconds=_PROJECT_RETRY_SECONDS)


def quota_states(usage: QuotaUsage, *, show_cost: bool = False) -> tuple[LimitState, ...]:
    """How much is left. Sessions have no window: a place becomes free when one of them ends.

    Amounts of money are left out without `show_cost`.
    """
    quota, states = usage.quota, []
    if quota.sessions != UNLIMITED:
        sessions = max(0, quota.sessions - usage.open)
        states.append(LimitState("sessions", quota.sessions, sessions, unit="concurrent-requests"))
    if quota.minutes_per_day != UNLIMITED:
        minutes, until = usage.left_today // 60, usage.resets_in
        states.append(
            LimitState("minutes_per_day", quota.minutes_per_day, minutes, until, DAY_SECONDS, "minutes")
        )
    bounds = shown_bounds(usage, show_cost=show_cost)
    return (*states, *(_bound_state(bound, usage.now) for bound in bounds))


def shown_bounds(usage: QuotaUsage, *, show_cost: bool) -> list[Bound]:
    """What the owner may see of its budgets. The money of a team concerns only the operator."""
    show_cost = show_cost and not usage.quota.is_team
    return [bound for bound in usage.bounds if show_cost or bound.currency is None]


def _bound_state(bound: Bound, now: datetime) -> LimitState:
    """In whole minutes, or in whole millionths of the currency. A month has no fixed length."""
    size, unit = (
        (60, "minutes")
        if bound.currency is None
        else (NANOS_OF_MILLIONTH, f"millionths-{bound.currency.lower()}")
    )
    reset = bound.period.seconds_left(now)
    return LimitState(bound.policy, bound.limit // size, bound.left // size, reset, None, unit)


def _of(quota: Quota) -> str:
    return f" of {quota.whose}" if quota.whose else ""
