"""Budgets without a store: days and months in a time zone, and how many seconds an amount is enough for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.limits.budget import Calendar, Tariff
from broker.sessions.cost import time_nanos
from tests.support.prices import price

ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", "Asia/Beirut", "Pacific/Apia"]
# From 2011 to 2040.
MOMENTS = st.integers(1_300_000_000, 2_200_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))


@given(at=MOMENTS, zone=st.sampled_from(ZONES))
def test_each_moment_is_before_the_end_of_its_day_and_its_month(at: datetime, zone: str) -> None:
    calendar = Calendar(ZoneInfo(zone))
    label = calendar.label_of(at)
    day, month = calendar.periods(label)
    assert (day.label, month.label) == (label, label[:7])
    assert at < day.ends_at <= month.ends_at
    assert calendar.label_of(day.ends_at) > label
    assert calendar.label_of(day.ends_at - timedelta(seconds=1)) == label
    assert calendar.label_of(month.ends_at)[:7] > month.label
    assert calendar.label_of(month.ends_at - timedelta(seconds=1))[:7] == month.label


@pytest.mark.parametrize(
    ("zone", "label", "hours", "ends_at"),
    [
        ("Europe/Paris", "2026-03-29", 23, "2026-03-29T22:00"),
        ("Europe/Paris", "2026-10-25", 25, "2026-10-25T23:00"),
        ("UTC", "2026-10-25", 24, "2026-10-26T00:00"),
        # The clocks change at midnight: the 26th begins at one o'clock.
        ("Asia/Beirut", "2023-03-25", 24, "2023-03-25T22:00"),
    ],
)
def test_day_of_a_clock_change(zone: str, label: str, hours: int, ends_at: str) -> None:
    calendar = Calendar(ZoneInfo(zone))
    end = calendar.periods(label)[0].ends_at
    assert end == datetime.fromisoformat(ends_at).replace(tzinfo=UTC)
    assert calendar.label_of(end - timedelta(hours=hours)) == label
    assert calendar.label_of(end - timedelta(hours=hours, seconds=1)) < label


@given(
    per_minute=st.integers(1, 10**9),
    used=st.integers(0, 72_000),
    left=st.integers(0, 10**15),
)
def test_affordable_seconds_are_the_most_that_fit(per_minute: int, used: int, left: int) -> None:
    of = price(per_minute=per_minute)
    nanos = time_nanos(of, used)
    seconds = Tariff(of, "USD", nanos, used).affordable_seconds(left)
    assert time_nanos(of, used + seconds) <= nanos + left
    if left:
        assert time_nanos(of, used + seconds + 1) > nanos + left


def test_model_without_a_price_has_no_seconds_and_a_free_one_has_all() -> None:
    assert Tariff(None, "USD").affordable_seconds(10**12) == 0
    assert Tariff(price(per_minute=0), "USD").affordable_seconds(1) > 24 * 3600
    assert Tariff(price(per_minute=0), "USD").affordable_seconds(0) == 0
