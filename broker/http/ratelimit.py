"""What is left of the limits, as HTTP says it: the RateLimit fields, and the member `limits` of a body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from broker.errors import LimitState
from broker.limits.quota import QuotaUsage, quota_states


def fields(states: Sequence[LimitState]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit` in the list form of draft-ietf-httpapi-ratelimit-headers."""
    if not states:
        return {}
    return {
        "RateLimit-Policy": ", ".join(_policy(state) for state in states),
        "RateLimit": ", ".join(_left(state) for state in states),
    }


def fields_of(rates: Sequence[LimitState], usage: QuotaUsage) -> dict[str, str]:
    return fields((*rates, *quota_states(usage)))


def limits_member(rates: Sequence[LimitState], usage: QuotaUsage) -> dict[str, Any]:
    """The member `limits` in the answers of the token routes and of GET /me."""
    quota = usage.quota
    return {
        "rate": [rate.to_json() for rate in rates],
        "sessions": {"limit": quota.sessions, "open": usage.open},
        "minutes_per_day": {"limit": quota.minutes_per_day, "used": usage.used_minutes},
    }


def _policy(state: LimitState) -> str:
    unit = f';qu="{state.unit}"' if state.unit else ""
    window = f";w={state.window_seconds}" if state.window_seconds else ""
    return f'"{state.policy}";q={state.limit}{unit}{window}'


def _left(state: LimitState) -> str:
    reset = "" if state.reset is None else f";t={state.reset}"
    return f'"{state.policy}";r={state.remaining}{reset}'
