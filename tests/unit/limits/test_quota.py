"""The state and the refusals of a quota, computed from its usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import LimitState
from broker.limits import quota as quotas
from broker.limits.quota import Quota, Quotas, QuotaUsage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def usage(*, open_sessions: int = 0, used_seconds: int = 0, now: datetime = NOON) -> QuotaUsage:
    return QuotaUsage(Quota("key", sessions=2, minutes_per_day=10), now, open_sessions, used_seconds)


@pytest.mark.parametrize(
    ("used_seconds", "used_minutes", "left_seconds"),
    [(0, 0, 600), (1, 1, 599), (60, 1, 540), (61, 2, 539), (600, 10, 0), (700, 12, 0)],
)
def test_started_minute_counts_as_used(used_seconds: int, used_minutes: int, left_seconds: int) -> None:
    used = usage(used_seconds=used_seconds)
    assert (used.used_minutes, used.left_seconds) == (used_minutes, left_seconds)


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (NOON, 43200),
        (datetime(2026, 1, 1, tzinfo=UTC), 86400),
        (datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC), 1),
        (datetime(2026, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC), 1),
    ],
)
def test_minutes_reset_at_midnight_utc_and_never_in_less_than_a_second(now: datetime, seconds: int) -> None:
    assert usage(now=now).resets_in == seconds


@pytest.mark.parametrize(("open_sessions", "refused"), [(0, False), (1, False), (2, True), (3, True)])
def test_last_place_can_be_taken_and_no_more(open_sessions: int, refused: bool) -> None:
    assert quotas.no_session_left(usage(open_sessions=open_sessions)) is refused


@pytest.mark.parametrize(("left", "refused"), [(600, False), (10, False), (9, True), (0, True)])
def test_less_than_the_shortest_slice_counts_as_no_minutes(left: int, refused: bool) -> None:
    assert quotas.no_time_left(usage(used_seconds=600 - left)) is refused


@pytest.mark.parametrize(
    ("plan", "taken", "full"),
    [
        ("default", {}, False),
        ("default", {"default": 2}, False),
        ("default", {"default": 3}, True),  # two of the five places are kept for gold
        ("gold", {"default": 3}, False),
        ("default", {"gold": 2, "default": 2}, False),
        ("default", {"gold": 2, "default": 3}, True),
        ("gold", {"gold": 5}, True),
        ("default", {"gold": 4}, False),
    ],
)
def test_unused_places_of_another_plan_are_kept_for_it(plan: str, taken: dict[str, int], full: bool) -> None:
    assert quotas.project_is_full(Quotas((), 5, plan, {"gold": 2}), taken) is full


def test_too_many_sessions_waits_for_the_first_place_and_lists_the_open_ones() -> None:
    opened = [{"id": "ses_1"}]
    full = QuotaUsage(Quota("key", 1, 10), NOON, 1, 0, frees_at=NOON + timedelta(seconds=90.5))
    refusal = quotas.too_many_sessions(full, opened)
    assert (refusal.code, refusal.retry_after_seconds) == ("too-many-sessions", 91)
    assert refusal.extensions == {"violated-policies": ["sessions"], "sessions": opened}
    assert refusal.limits == quotas.quota_states(full)


def test_exhausted_minutes_wait_for_the_next_day() -> None:
    refusal = quotas.exhausted(usage(used_seconds=600))
    assert (refusal.code, refusal.retry_after_seconds) == ("minutes-exhausted", 43200)
    assert refusal.extensions == {"violated-policies": ["minutes_per_day"]}


def test_refusal_of_a_full_project_contains_no_number() -> None:
    refusal = quotas.project_capacity()
    assert (refusal.code, refusal.status, refusal.limits) == ("project-capacity", 503, ())
    assert not any(character.isdigit() for character in f"{refusal.title}{refusal.detail}")


def test_refusal_names_the_owner_of_the_quota() -> None:
    shop = Quota("key", 3, 10, "the service key")
    detail = quotas.too_many_sessions(QuotaUsage(shop, NOON, 3, 0), ()).detail
    assert detail == "3 of 3 sessions of the service key are open."


def test_remaining_quota_is_never_negative() -> None:
    assert quotas.quota_states(usage(open_sessions=3, used_seconds=60 * 11)) == (
        LimitState("sessions", 2, 0, unit="concurrent-requests"),
        LimitState("minutes_per_day", 10, 0, 43200, 86400, "minutes"),
    )
