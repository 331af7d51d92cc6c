"""Share: what one principal may hold, sessions at once and seconds of talk a day, and what it is told.

Pure: the ledger counts under its locks and asks here what follows, and so does the preview without locks, so
that both tell the same. A day is a day in UTC by the store's clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from broker.errors import Refusal

DAY_SECONDS = 86400
# A token that could not carry a conversation is not worth a call to Google.
SHORTEST_SLICE = timedelta(seconds=10)
_PROJECT_RETRY_SECONDS = 10


@dataclass(frozen=True)
class Share:
    """`whose` is for the people who read the refusal; None for the caller's own."""

    key: str
    sessions: int
    minutes_per_day: int
    whose: str | None = None


@dataclass(frozen=True)
class Shares:
    """All that a reservation must fit into: of the service key that acts, of the principal (last), of all.

    `reserved` is how many of the project's sessions are kept for a plan; `plan` is the one that asks.
    """

    of: tuple[Share, ...]
    project_sessions: int
    plan: str = ""
    reserved: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Holding:
    """How much of a share is taken at `now`."""

    share: Share
    now: datetime
    open: int
    used_seconds: int
    frees_at: datetime | None = None
    """When the first of the open sessions gives up its place, if nobody does anything."""

    @property
    def left_seconds(self) -> int:
        return max(0, self.share.minutes_per_day * 60 - self.used_seconds)

    @property
    def used_minutes(self) -> int:
        """A minute that has begun counts as used."""
        return math.ceil(self.used_seconds / 60)

    @property
    def resets_in(self) -> int:
        """Seconds until the next day begins."""
        return max(1, math.ceil((day_of(self.now) + timedelta(days=1) - self.now).total_seconds()))


def day_of(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def no_session_left(holding: Holding) -> bool:
    return holding.open >= holding.share.sessions


def project_is_full(shares: Shares, taken: Mapping[str, int]) -> bool:
    """`taken` is how many places each plan has. Those that others' plans may still claim are not free."""
    kept = sum(
        max(0, places - taken.get(plan, 0)) for plan, places in shares.reserved.items() if plan != shares.plan
    )
    return sum(taken.values()) + kept >= shares.project_sessions


def no_minutes_left(holding: Holding) -> bool:
    return holding.left_seconds < SHORTEST_SLICE.total_seconds()


def too_many_sessions(holding: Holding, sessions: Sequence[Mapping[str, Any]]) -> Refusal:
    """`sessions` are the open ones, so that an app can offer to end one."""
    share = holding.share
    wait = 1.0 if holding.frees_at is None else (holding.frees_at - holding.now).total_seconds()
    return Refusal(
        "too-many-sessions",
        f"{holding.open} of {share.sessions} sessions{_of(share)} are open.",
        hint="End one of them, or wait until one has ended.",
        retry_after_seconds=max(1, math.ceil(wait)),
        extensions={"violated-policies": ["sessions"], "sessions": list(sessions)},
        headers=share_headers(holding),
    )


def minutes_exhausted(holding: Holding) -> Refusal:
    share = holding.share
    return Refusal(
        "minutes-exhausted",
        f"The {share.minutes_per_day} minutes of today{_of(share)} are used up. A day begins at 00:00 UTC.",
        retry_after_seconds=holding.resets_in,
        extensions={"violated-policies": ["minutes_per_day"]},
        headers=share_headers(holding),
    )


def project_capacity() -> Refusal:
    """No hint of how many there are: that is nobody's business but the operator's."""
    return Refusal("project-capacity", retry_after_seconds=_PROJECT_RETRY_SECONDS)


def share_headers(holding: Holding) -> dict[str, str]:
    """The RateLimit fields, beside those of the rate; sessions have no window, so no `w` and no `t`."""
    share = holding.share
    left = max(0, share.sessions - holding.open)
    minutes = holding.left_seconds // 60
    return {
        "RateLimit-Policy": f'"sessions";q={share.sessions};qu="concurrent-requests", '
        f'"minutes_per_day";q={share.minutes_per_day};qu="minutes";w={DAY_SECONDS}',
        "RateLimit": f'"sessions";r={left}, "minutes_per_day";r={minutes};t={holding.resets_in}',
    }


def _of(share: Share) -> str:
    return f" of {share.whose}" if share.whose else ""
