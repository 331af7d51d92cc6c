"""How long tokens are by what has been forgiven today."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.limits.forgiveness import first_slice, left_to_forgive, may_forgive, next_slice
from broker.limits.quota import Quota, QuotaUsage

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def usage(forgiven: int, minutes: int | None = None) -> QuotaUsage:
    """Of a plan of 60 minutes a day. `minutes`: how many may be forgiven."""
    return QuotaUsage(Quota("k", 2, 60, None, minutes), NOW, 0, 0, None, forgiven)


@pytest.mark.parametrize(
    ("forgiven", "minutes", "length"),
    [
        (0, None, 900),  # nobody has ended early
        (895, None, 900),  # once
        (1790, None, 115),  # twice
        (2700, None, 30),
        (3600, None, 30),
        (0, 0, 30),  # nothing is ever forgiven
        (0, 5, 300),  # no longer than what can be
        (295, 5, 30),
    ],
)
def test_first_token_shortens_as_time_is_forgiven(forgiven: int, minutes: int | None, length: int) -> None:
    assert first_slice(900, [usage(forgiven, minutes)]) == length


def test_first_token_is_never_longer_than_the_profiles() -> None:
    assert first_slice(20, [usage(3600)]) == first_slice(20, [usage(0)]) == 20


def test_further_tokens_grow_with_the_conversation() -> None:
    lengths, age = [], 15.0
    for _ in range(6):
        lengths.append(next_slice(900, [usage(3600)], age=age, overlap=15))
        age += lengths[-1] * 0.8
    assert lengths[0] == 60
    assert all(later >= earlier for earlier, later in pairwise(lengths))
    assert lengths[-1] > 300
    assert next_slice(900, [usage(0)], age=15, overlap=180) == 900
    assert next_slice(900, [usage(0, 15)], age=0, overlap=180) == 720, "its end, too, can be forgiven"


def test_both_of_a_service_key_and_its_user_must_have_enough() -> None:
    both = [usage(3000), usage(3500)]
    assert left_to_forgive(both) == 100
    assert may_forgive(both, 100)
    assert not may_forgive(both, 101)
    assert not may_forgive([usage(4000)], 1), "the operator has lowered it in the meantime"
    assert may_forgive([usage(4000)], 0)


@given(st.integers(10, 3600), st.integers(0, 4000), st.integers(0, 90))
def test_end_of_a_first_token_fits_unless_the_token_is_short(most: int, forgiven: int, minutes: int) -> None:
    usages = [usage(forgiven, minutes)]
    length = first_slice(most, usages)
    assert 0 < length <= most
    assert length <= 30 or may_forgive(usages, length)
