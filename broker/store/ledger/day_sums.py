"""The seconds of each principal's tokens by the day on which they were reserved, as sums that are kept.

No request adds up the tokens of a day. Whoever changes `seconds` or `forgiven` of a token holds the locks of
its owners, and calls `add` in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, text

from broker.limits.quota import day_of
from broker.store.database.column_types import UtcDateTime

# Built once: putting a statement together takes longer than running it.
_ADD = text(
    "INSERT INTO day_sums (key, day, seconds, forgiven) VALUES (:key, :day, :seconds, :forgiven) "
    "ON CONFLICT (key, day) DO UPDATE "
    "SET seconds = day_sums.seconds + excluded.seconds, forgiven = day_sums.forgiven + excluded.forgiven"
).bindparams(bindparam("day", type_=UtcDateTime()))


def add(
    connection: Connection, keys: Iterable[str | None], reserved_at: datetime, seconds: int, forgiven: int
) -> None:
    """`keys`: the token's principal, and the service key that acts for it or None.

    Numbers may be negative.
    """
    if not seconds and not forgiven:
        return
    day = day_of(reserved_at)
    rows = [
        {"key": key, "day": day, "seconds": seconds, "forgiven": forgiven} for key in keys if key is not None
    ]
    # A list would be slower, and most tokens have one owner.
    connection.execute(_ADD, rows if len(rows) > 1 else rows[0])
