"""Shapes of answers that several resources share, and the functions that make them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from typing_extensions import TypedDict

from broker.limits.limiter import RateLeft as RateState
from broker.limits.quota import QuotaUsage
from broker.net.timestamps import rfc3339
from broker.sessions.session import SessionState


class Nothing(TypedDict):
    """An empty object: the action succeeded."""


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


class LimitsLeft(TypedDict):
    rate: list[RateLeft]
    sessions: SessionsLeft
    minutes_per_day: MinutesLeft


class Ended(TypedDict):
    """Google cannot revoke a token: it may accept the last one until `honoured_until`."""

    id: str
    state: str
    honoured_until: str | None


def rate_left(state: RateState) -> RateLeft:
    return {"policy": state.policy, "remaining": state.remaining, "reset": state.reset}


def limits_left(rates: Sequence[RateState], usage: QuotaUsage) -> LimitsLeft:
    """The member `limits` of the token routes and of GET /me."""
    quota = usage.quota
    return {
        "rate": [rate_left(state) for state in rates],
        "sessions": {"limit": quota.sessions, "open": usage.open},
        "minutes_per_day": {"limit": quota.minutes_per_day, "used": usage.used_minutes},
    }


def ended(session_id: str, state: SessionState, honoured_until: datetime | None) -> Ended:
    return {"id": session_id, "state": state.value, "honoured_until": timestamp_or_none(honoured_until)}


def timestamp_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
