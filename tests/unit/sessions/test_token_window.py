"""The times of a token, and the seconds that it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import Refusal
from broker.limits.quota import Quota, QuotaUsage
from broker.sessions.token_window import TokenWindow, window_for

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def usage(left_seconds: int, whose: str | None = None) -> QuotaUsage:
    return QuotaUsage(Quota("key", 1, 1000, whose), NOW, 0, 1000 * 60 - left_seconds)


def window(
    *, paid: float = 0, ends: float = 7200, slice_seconds: int = 900, join: int = 120, left: int = 10_000
) -> TokenWindow:
    return window_for(NOW, after(paid), after(ends), slice_seconds, join, [usage(left)])


@pytest.mark.parametrize(
    ("given", "expires", "seconds"),
    [
        (window(), 900, 900),
        (window(slice_seconds=60), 60, 60),
        (window(ends=300), 300, 300),
        (window(left=200), 200, 200),
        (window(left=10), 10, 10),
        (window(ends=300, left=200), 200, 200),
    ],
    ids=["slice", "short slice", "session's end", "minutes", "shortest", "minutes before the end"],
)
def test_token_ends_with_its_slice_the_session_or_the_minutes(
    given: TokenWindow, expires: int, seconds: int
) -> None:
    assert (given.expires_at, given.seconds) == (after(expires), seconds)


@pytest.mark.parametrize(
    ("paid", "expires", "seconds"),
    [(0, 900, 900), (300, 900, 600), (900, 900, 0), (1000, 900, 0)],
)
def test_charged_time_is_not_charged_again(paid: int, expires: int, seconds: int) -> None:
    given = window(paid=paid)
    assert (given.expires_at, given.seconds, given.covers_from) == (after(expires), seconds, after(paid))


def test_paid_time_can_be_used_when_no_minutes_are_left() -> None:
    given = window(paid=300, left=0)
    assert (given.expires_at, given.seconds) == (after(300), 0)


@pytest.mark.parametrize(("expires", "connect_by"), [(900, 120), (120, 120), (60, 60)])
def test_join_window_is_never_longer_than_the_token(expires: int, connect_by: int) -> None:
    assert window(slice_seconds=expires).connect_by == after(connect_by)


def test_started_second_is_charged_in_full() -> None:
    assert window(paid=0.5).seconds == 900


@pytest.mark.parametrize("given", [{"left": 9}, {"paid": 5, "left": 4}, {"ends": 9}])
def test_time_below_the_shortest_slice_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(Refusal) as refused:
        window(**given)
    assert refused.value.code == "minutes-exhausted"


def test_scarcest_quota_decides_and_is_named() -> None:
    usages = [usage(100, "the service key"), usage(500)]
    assert window_for(NOW, NOW, after(7200), 900, 120, usages).expires_at == after(100)
    with pytest.raises(Refusal) as refused:
        window_for(NOW, NOW, after(7200), 900, 120, [usage(0, "the service key"), usage(500)])
    assert "the service key" in str(refused.value.detail)
