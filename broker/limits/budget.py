"""Budget: how much money, and how many minutes, one owner may use in a day and in a month. Pure.

A session counts in the day and in the month in which it was opened, by the operator's time zone, with all of
its tokens. So a day may have 23, 24 or 25 hours. Amounts are whole nanos of the currency (`sessions.cost`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from broker.net.timestamps import rfc3339
from broker.settings.amounts import NANOS_OF_MILLIONTH, amount

if TYPE_CHECKING:
    from broker.settings import Price

# A token that could not carry a conversation is not worth a call to Google.
LEAST_SECONDS = 10
# Percent of a budget at which operators are alerted.
THRESHOLDS = (50, 80, 100)
# Longer than any session.
_NO_END_SECONDS = 366 * 86_400


@dataclass(frozen=True)
class Budget:
    """Amounts are in millionths of the currency. None: not limited."""

    per_day: int | None = None
    per_month: int | None = None
    minutes_per_month: int | None = None

    def __bool__(self) -> bool:
        return self != NO_BUDGET


NO_BUDGET = Budget()


@dataclass(frozen=True)
class Period:
    """A day or a month of the operator. `label` is as in `2026-11-30` or `2026-11`."""

    name: str
    label: str
    ends_at: datetime

    def seconds_left(self, now: datetime) -> int:
        return max(1, math.ceil((self.ends_at - now).total_seconds()))


class Calendar:
    """Days and months in a time zone."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone

    def label_of(self, moment: datetime) -> str:
        """The day of an aware moment. Its first seven characters are the label of the month."""
        return moment.astimezone(self._zone).date().isoformat()

    def periods(self, label: str) -> tuple[Period, Period]:
        """The day with this label, and its month."""
        day = date.fromisoformat(label)
        next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        return (
            Period("day", label, self._begin(day + timedelta(days=1))),
            Period("month", label[:7], self._begin(next_month)),
        )

    def projected(self, nanos: int, now: datetime) -> int | None:
        """What a month will have cost that has cost so much by `now`, if it goes on like this.

        None on its first day, which says too little.
        """
        label = self.label_of(now)
        if label.endswith("-01"):
            return None
        begin = self._begin(date.fromisoformat(label).replace(day=1))
        second = timedelta(seconds=1)
        return nanos * ((self.periods(label)[1].ends_at - begin) // second) // ((now - begin) // second)

    def _begin(self, day: date) -> datetime:
        # If a clock change skips midnight, the day begins at the change.
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)


@dataclass(frozen=True)
class Spent:
    """What one owner has spent, by the day and the month of one label. `month_seconds` are charged."""

    day_nanos: int
    month_nanos: int
    month_seconds: int


@dataclass(frozen=True)
class Tariff:
    """What a second of a session costs. `nanos` and `seconds` are what the session has used so far.

    `price` None: its model has no price, so nothing may be spent on it.
    """

    price: Price | None
    currency: str | None
    nanos: int = 0
    seconds: int = 0

    def affordable_seconds(self, left_nanos: int) -> int:
        """For how many more seconds of this session the amount is enough."""
        if self.price is None or left_nanos <= 0:
            return 0
        if not self.price.per_minute:
            return _NO_END_SECONDS
        total: int = (self.nanos + left_nanos) * 60 // (self.price.per_minute * NANOS_OF_MILLIONTH)
        return max(0, total - self.seconds)


@dataclass(frozen=True)
class Bound:
    """One limit of a period. `limit` and `used` are nanos of `currency`, or seconds if that is None.

    `left_seconds`: how many more seconds a session may be charged for.
    """

    policy: str
    limit: int
    used: int
    currency: str | None
    period: Period
    left_seconds: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def reached(self) -> tuple[int, ...]:
        """The thresholds that have been reached. The last is reached when no further token fits."""
        if not self.used:
            return ()
        percent = 100 if self.left_seconds < LEAST_SECONDS else self.used * 100 // max(1, self.limit)
        return tuple(one for one in THRESHOLDS if percent >= one)

    def with_more(self, nanos: int, seconds: int) -> Bound:
        """After a charge of so much."""
        more = seconds if self.currency is None else nanos
        return replace(self, used=self.used + more, left_seconds=max(0, self.left_seconds - seconds))


def bound_to_json(bound: Bound) -> dict[str, Any]:
    """Amounts are decimal numbers as text, minutes are whole numbers."""

    def size(number: int) -> str | int:
        return -(-number // 60) if bound.currency is None else amount(number)

    return {
        "policy": bound.policy,
        "limit": size(bound.limit),
        "used": size(bound.used),
        "currency": bound.currency,
        "resets_at": rfc3339(bound.period.ends_at),
    }


def bounds_of(
    budget: Budget, spent: Spent, periods: tuple[Period, Period], tariff: Tariff
) -> tuple[Bound, ...]:
    day, month = periods
    bounds = []
    for policy, most, used, period in (
        ("budget_per_day", budget.per_day, spent.day_nanos, day),
        ("budget_per_month", budget.per_month, spent.month_nanos, month),
    ):
        if most is not None:
            limit = most * NANOS_OF_MILLIONTH
            seconds = tariff.affordable_seconds(limit - used)
            bounds.append(Bound(policy, limit, used, tariff.currency or "", period, seconds))
    if budget.minutes_per_month is not None:
        limit, used = budget.minutes_per_month * 60, spent.month_seconds
        bounds.append(Bound("minutes_per_month", limit, used, None, month, max(0, limit - used)))
    return tuple(bounds)
