"""TokenWindow: the times of a token that is about to be reserved, and the seconds it costs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.limits.forgiveness import first_slice
from broker.limits.quota import SHORTEST_SLICE, QuotaUsage, exhausted
from broker.minting.minter import TokenTimes
from broker.profiles.profile import WARM_WAIT_SECONDS
from broker.sessions.session import SessionTerms


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


def first_window(now: datetime, terms: SessionTerms, usages: Sequence[QuotaUsage]) -> TokenWindow:
    """The window of a session's first token: that of `terms.ready`, if it suits, or else a new one."""
    ends_at = now + timedelta(seconds=terms.session_seconds)
    ready = terms.ready
    if ready is not None and _suits(ready, now, ends_at, terms, usages):
        return TokenWindow(now, ready.connect_by, ready.expires_at, ends_at, now)
    most = terms.slice_seconds
    length = most if terms.slice_is_fixed else first_slice(most, usages)
    return window_for(now, now, ends_at, length, terms.connect_within_seconds, usages)


def _suits(
    ready: TokenTimes, now: datetime, ends_at: datetime, terms: SessionTerms, usages: Sequence[QuotaUsage]
) -> bool:
    """Whether a token with these times may be delivered now: no less than promised, no more than allowed.

    Google honours it until `expires_at` in any case. So all of that must fit into the session and the minutes
    that are left, and be a length that the caller's first token may have.
    """
    seconds = math.ceil((ready.expires_at - now).total_seconds())
    return (
        not terms.slice_is_fixed
        and ready.expires_at >= now + timedelta(seconds=terms.slice_seconds)
        and ready.connect_by >= now + timedelta(seconds=terms.connect_within_seconds)
        and ready.expires_at <= ends_at
        # A token is never older than now, unless a clock was set back.
        and seconds <= terms.slice_seconds + WARM_WAIT_SECONDS
        and seconds <= min(usage.left_seconds for usage in usages)
        and first_slice(terms.slice_seconds, usages) == terms.slice_seconds
        and first_slice(seconds, usages) == seconds
    )


def window_for(
    now: datetime,
    paid_until: datetime,
    ends_at: datetime,
    slice_seconds: int,
    connect_within_seconds: int,
    usages: Sequence[QuotaUsage],
) -> TokenWindow:
    """Ends with the session and with the time that the limits leave, so that Google itself ends the call.

    `paid_until` is the end of the time that is charged already: it costs nothing again. Refuses
    `minutes-exhausted` or `budget-exhausted` if less than the shortest slice is left.
    """
    scarcest = min(usages, key=lambda usage: usage.left_seconds)
    paid = paid_until + timedelta(seconds=scarcest.left_seconds)
    expires_at = min(now + timedelta(seconds=slice_seconds), ends_at, paid)
    if expires_at - now < SHORTEST_SLICE:
        raise exhausted(scarcest)
    connect_by = min(now + timedelta(seconds=connect_within_seconds), expires_at)
    return TokenWindow(now, connect_by, expires_at, ends_at, paid_until)
