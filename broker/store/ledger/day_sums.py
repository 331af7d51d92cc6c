"""The seconds of each principal's and team's tokens by the day on which they were reserved, as kept sums.

A request reads these sums and does not add up the tokens of a day. Code that changes `seconds` or
`forgiven` of a token must hold the locks of its owners and call `add` in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache

from sqlalchemy import text

from broker.store.database.statement import Statement, Writes


@cache
def _add(keys: int) -> Statement:
    rows = ", ".join(f"(:key{number}, :day, :seconds, :forgiven)" for number in range(keys))
    return Statement(
        text(
            f"INSERT INTO day_sums (key, day, seconds, forgiven) VALUES {rows} "  # noqa: S608 # nosec B608
            "ON CONFLICT (key, day) DO UPDATE SET seconds = day_sums.seconds + excluded.seconds, "
            "forgiven = day_sums.forgiven + excluded.forgiven"
        )
    )


def date_of(moment: datetime) -> str:
    """The day in UTC of an aware datetime in UTC, as the counts name it."""
    return moment.date().isoformat()


def add(
    writes: Writes, keys: Iterable[str | None], reserved_at: datetime, seconds: int, forgiven: int
) -> None:
    """`keys`: of the team, the service key and the principal of the token; None for those that it lacks.

    Numbers may be negative.
    """
    if not seconds and not forgiven:
        return
    owners = {f"key{number}": key for number, key in enumerate(key for key in keys if key is not None)}
    values = {"day": date_of(reserved_at), "seconds": seconds, "forgiven": forgiven}
    writes.add(_add(len(owners)), {**owners, **values})
