"""The times of a token, and the seconds that it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.errors import Refusal
from broker.limits.quota import Quota, QuotaUsage
from broker.minting.minter import TokenTimes
from broker.profiles.profile import WARM_WAIT_SECONDS
from broker.sessions.session import SessionTerms
from broker.sessions.token_window import TokenWindow, first_window, window_for

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


def first(
    *,
    life: float = 910,
    join: float = 130,
    fixed: int = 0,
    session: int = 7200,
    used: int = 0,
    forgiven: int = 0,
) -> TokenWindow:
    """The window of a first token, with a token ready that lives for `life` seconds from now."""
    ready = TokenTimes(after(join), after(life))
    terms = SessionTerms("default", "models/m", session, 900, 120, {}, bool(fixed), ready)
    usages = [QuotaUsage(Quota("key", 1, 60), NOW, 0, used, forgiven_seconds=forgiven)]
    return first_window(NOW, terms, usages)


@pytest.mark.parametrize("life", [900, 900.5, 919.999, 920])
def test_ready_token_is_reserved_and_charged_until_its_own_end(life: float) -> None:
    found = first(life=life)
    assert (found.connect_by, found.expires_at) == (after(130), after(life))
    assert life <= found.seconds < life + 1
    assert (found.covers_from, found.forgiven) == (NOW, 0)


@pytest.mark.parametrize(
    ("given", "length", "join"),
    [
        ({"life": 899.999}, 900, 120),
        ({"join": 119.999}, 900, 120),
        ({"life": 900 + WARM_WAIT_SECONDS + 1}, 900, 120),
        ({"fixed": 1}, 900, 120),
        ({"session": 909}, 900, 120),
        ({"session": 60}, 60, 60),
        ({"used": 3600 - 909}, 900, 120),
        ({"used": 3600 - 100}, 100, 100),
        ({"forgiven": 901}, 380, 120),
        ({"forgiven": 3600}, 30, 30),
    ],
    ids=[
        "too short", "too little time to connect", "a clock was set back", "own lifetime", "session's end",
        "short session", "fewer minutes than it lives", "few minutes", "much forgiven", "all forgiven",
    ],
)  # fmt: skip
def test_ready_token_that_does_not_suit_is_not_reserved(
    given: dict[str, Any], length: int, join: int
) -> None:
    found = first(**given)
    assert (found.expires_at, found.connect_by, found.seconds) == (after(length), after(join), length)


def test_ready_token_ends_exactly_with_the_minutes_or_the_session() -> None:
    for found in (first(used=3600 - 910), first(session=910)):
        assert found.expires_at == after(910)


def test_ready_token_is_never_longer_than_what_can_be_forgiven() -> None:
    """Its owner may end at once and must be believed, as with a token that is minted for the request."""
    for allowed, length in ((15, 900), (16, 910)):
        quota = Quota("key", 1, 60, forgiven_minutes_per_day=allowed)
        ready = TokenTimes(after(130), after(910))
        terms = SessionTerms("default", "models/m", 7200, 900, 120, {}, False, ready)
        assert first_window(NOW, terms, [QuotaUsage(quota, NOW, 0, 0)]).seconds == length


def test_no_minutes_are_left_for_a_ready_token() -> None:
    with pytest.raises(Refusal) as caught:
        first(used=3595)
    assert caught.value.code == "minutes-exhausted"
