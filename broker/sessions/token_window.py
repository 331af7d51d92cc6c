"""TokenWindow: the times of a token that is about to be reserved, and the seconds it costs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.limits.quota import SHORTEST_SLICE, QuotaUsage, minutes_exhausted


@dataclass(frozen=True)
class TokenWindow:
    """A token that may be used from `now` to `expires_at`. It is charged from `covers_from` on."""

    now: datetime
    connect_by: datetime
    expires_at: datetime
    ends_at: datetime
    covers_from: datetime

    @property
    def seconds(self) -> int:
        return max(0, math.ceil((self.expires_at - self.covers_from).total_seconds()))

    @property
    def forgiven(self) -> int:
        """Seconds in which it could be used and is not charged, because another token covers them."""
        return math.ceil((min(self.covers_from, self.expires_at) - self.now).total_seconds())


def window_for(
    now: datetime,
    paid_until: datetime,
    ends_at: datetime,
    slice_seconds: int,
    connect_within_seconds: int,
    usages: Sequence[QuotaUsage],
) -> TokenWindow:
    """Ends with the session and with the minutes that are left, so that Google itself ends the call.

    `paid_until` is the end of the time that is charged already: it costs nothing again. Refuses
    `minutes-exhausted` if less than the shortest slice is left.
    """
    scarcest = min(usages, key=lambda usage: usage.left_seconds)
    paid = paid_until + timedelta(seconds=scarcest.left_seconds)
    expires_at = min(now + timedelta(seconds=slice_seconds), ends_at, paid)
    if expires_at - now < SHORTEST_SLICE:
        raise minutes_exhausted(scarcest)
    connect_by = min(now + timedelta(seconds=connect_within_seconds), expires_at)
    return TokenWindow(now, connect_by, expires_at, ends_at, paid_until)
