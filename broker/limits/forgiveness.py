"""Forgiveness: how much unused time of a token may be given back, and how long tokens are therefore. Pure.

Google does not report the end of a call. A client that reports an end, or reconnects, may talk on with its
token until it expires. The time that it would gain is forgiven: usable, and not charged. The sum of a day is
limited, and tokens become short before it is spent. Then an end puts little at risk, and an honest caller
loses little if it is not believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from broker.limits.quota import QuotaUsage

# The first token of a conversation, and each further one, is never shortened below this.
SHORT_FIRST_SECONDS, SHORT_NEXT_SECONDS = 30, 60


def may_forgive(usages: Sequence[QuotaUsage], seconds: float) -> bool:
    return seconds <= left_to_forgive(usages)


def left_to_forgive(usages: Sequence[QuotaUsage]) -> int:
    """Seconds; for a user of a service key, the fewer ones of both."""
    return min(usage.left_to_forgive for usage in usages)


def first_slice(most: int, usages: Sequence[QuotaUsage]) -> int:
    """The length of a conversation's first token in seconds; `most` is the profile's.

    It is the full length for callers who have ended early once today at most, because an app that uses only
    Google's SDK cannot renew.
    """
    return min(most, max(SHORT_FIRST_SECONDS, _length(most, usages)))


def next_slice(most: int, usages: Sequence[QuotaUsage], *, age: float, overlap: float) -> int:
    """The same for a further token of a conversation that began `age` seconds ago.

    `overlap` is for how many seconds its previous token is still valid. The length grows with the
    conversation. So a long one needs few tokens, and an end that is not believed costs at most as much again.
    """
    fits = _length(most, usages, overlap)
    return min(most, max(SHORT_NEXT_SECONDS, int(age), fits))


def _length(most: int, usages: Sequence[QuotaUsage], overlap: float = 0) -> int:
    """No longer than what can be forgiven. After one full token a day it falls with the cube of what is left.

    Most of a day's allowance is thus left for many short tokens instead of a few long ones.
    """
    return min(_shrunk(most, usage, overlap) for usage in usages)


def _shrunk(most: int, usage: QuotaUsage, overlap: float) -> int:
    left = usage.left_to_forgive
    share = 1.0 if usage.forgiven_seconds <= most else left / max(1, usage.quota.most_forgiven_seconds)
    return min(math.ceil(most * share**3), int(left - overlap))
