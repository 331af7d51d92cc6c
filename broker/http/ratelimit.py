"""The remaining limits over HTTP: the RateLimit fields, and the member `limits` of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired, cast

from typing_extensions import TypedDict

from broker.errors import LimitState
from broker.issuing.dry_run import TeamUse
from broker.limits.budget import Bound, bound_to_json
from broker.limits.quota import UNLIMITED, QuotaUsage, quota_states, shown_bounds


class RateLeft(TypedDict):
    policy: str
    remaining: int
    reset: int


class SessionsLeft(TypedDict):
    limit: int
    open: int


class MinutesLeft(TypedDict):
    limit: int
    used: int


class BudgetLeft(TypedDict):
    """Amounts are decimal numbers as text; without a currency, they are whole minutes."""

    policy: Literal["budget_per_day", "budget_per_month", "minutes_per_month"]
    limit: str | int
    used: str | int
    currency: str | None
    resets_at: str


class TeamLeft(TypedDict):
    """What the members of the caller's team share. A limit that the team does not have is missing.

    Its money concerns only the operator.
    """

    name: str
    rate: NotRequired[list[RateLeft]]
    sessions: NotRequired[SessionsLeft]
    minutes_per_day: NotRequired[MinutesLeft]
    minutes_per_month: NotRequired[MinutesLeft]


class LimitsLeft(TypedDict):
    """`budget`: the caller's own budgets, if there are any. Amounts only if the profile shows the cost."""

    rate: list[RateLeft]
    sessions: SessionsLeft
    minutes_per_day: MinutesLeft
    budget: NotRequired[list[BudgetLeft]]


def fields(states: Sequence[LimitState]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit` in the list form of draft-ietf-httpapi-ratelimit-headers."""
    if not states:
        return {}
    return {
        "RateLimit-Policy": ", ".join(_policy(state) for state in states),
        "RateLimit": ", ".join(_left(state) for state in states),
    }


def fields_of(rates: Sequence[LimitState], usage: QuotaUsage, *, show_cost: bool) -> dict[str, str]:
    return fields((*rates, *quota_states(usage, show_cost=show_cost)))


def limits_left(rates: Sequence[LimitState], usage: QuotaUsage, *, show_cost: bool) -> LimitsLeft:
    """The member `limits` in the answers of the token routes and of GET /me."""
    quota = usage.quota
    left: LimitsLeft = {
        "rate": [rate_left(rate) for rate in rates],
        "sessions": {"limit": quota.sessions, "open": usage.open},
        "minutes_per_day": {"limit": quota.minutes_per_day, "used": usage.used_minutes},
    }
    if bounds := shown_bounds(usage, show_cost=show_cost):
        left["budget"] = budgets_left(bounds)
    return left


def team_left(team: TeamUse) -> TeamLeft:
    """The member `team` in the answer of GET /me."""
    left: TeamLeft = {"name": team.limits.name}
    if team.rates:
        left["rate"] = [rate_left(rate) for rate in team.rates]
    usage = team.usage
    if usage is None:
        return left
    if usage.quota.sessions != UNLIMITED:
        left["sessions"] = {"limit": usage.quota.sessions, "open": usage.open}
    if usage.quota.minutes_per_day != UNLIMITED:
        left["minutes_per_day"] = {"limit": usage.quota.minutes_per_day, "used": usage.used_minutes}
    for bound in shown_bounds(usage, show_cost=False):  # only the minutes of a month are no money
        left["minutes_per_month"] = {"limit": bound.limit // 60, "used": -(-bound.used // 60)}
    return left


def budgets_left(bounds: Sequence[Bound]) -> list[BudgetLeft]:
    return [cast(BudgetLeft, bound_to_json(bound)) for bound in bounds]


def rate_left(rate: LimitState) -> RateLeft:
    assert rate.reset is not None, "only sessions have no window"
    return {"policy": rate.policy, "remaining": rate.remaining, "reset": rate.reset}


def _policy(state: LimitState) -> str:
    unit = f';qu="{state.unit}"' if state.unit else ""
    window = f";w={state.window_seconds}" if state.window_seconds else ""
    return f'"{state.policy}";q={state.limit}{unit}{window}'


def _left(state: LimitState) -> str:
    reset = "" if state.reset is None else f";t={state.reset}"
    return f'"{state.policy}";r={state.remaining}{reset}'
