"""Another clock is ahead or behind only as far as the time of the call does not explain it."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from broker.telemetry.clocks import ClockWatch, compare_date


@pytest.mark.parametrize(
    ("ahead", "took", "resolution", "found"),
    [
        (0, 0, 0, 0),
        (30, 0, 0, 30),
        (-30, 0, 0, -30),
        (-3600, 0, 0, -3600),
        # Said at the beginning of a call of 5 s.
        (-5, 5, 0, 0),
        (-8, 5, 0, -3),
        (4, 5, 0, 4),
        # Cut to whole seconds.
        (-0.9, 0, 1, 0),
        (-3, 0.5, 1, -1.5),
    ],
)
def test_only_what_the_call_does_not_explain_is_a_difference(
    ahead: float, took: float, resolution: float, found: float
) -> None:
    watch = ClockWatch("google")
    watch.compare(time.time() + ahead, took, resolution)
    assert watch.ahead_seconds == pytest.approx(found, abs=0.5)


def test_small_difference_is_not_worth_a_word() -> None:
    watch = ClockWatch("google")
    assert watch.difference() is None, "nothing has been compared yet"
    watch.compare(time.time() + 3, 0)
    assert watch.difference() is None
    watch.compare(time.time() - 90, 0)
    assert watch.difference() == "the clock of google is 90 s behind this host's"


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "Mon, 31 Feb 2026 00:00:00 GMT", "99999999", "Mon, 31 Dec 99999 23:59:59 GMT", "\xff"],
)
def test_unreadable_date_is_ignored(date: str) -> None:
    watch = ClockWatch("google")
    compare_date(watch, date, 0)
    assert watch.ahead_seconds is None


def test_date_of_a_response_is_compared() -> None:
    watch = ClockWatch("google")
    compare_date(watch, formatdate(time.time() + 60, usegmt=True), 0)
    assert watch.ahead_seconds == pytest.approx(60, abs=1.5)
