"""The cost of a session: exact, never below its time, and the same in whatever order its client reports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.sessions.cost import cost_of, time_nanos, token_nanos
from broker.sessions.token_counts import (
    AUDIO_OUT_PER_SECOND,
    CONTEXT_WINDOW,
    NAMES,
    Counts,
    counts_in,
    greater,
    problems,
    used,
)
from broker.settings import Price, PriceList
from broker.settings.amounts import NANOS, amount
from tests.support.prices import PRICES, price

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
MILLION = 10**6
TEXT, SOUND, PICTURE, WRITTEN, SPOKEN = 750_000, 3 * MILLION, MILLION, 4_500_000, 12 * MILLION

tokens = st.integers(0, 10**9)
counts = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 10**9))
millionths = st.integers(0, 10**12)
prices = st.builds(
    price,
    text_in=millionths,
    audio_in=millionths,
    video_in=millionths,
    text_out=millionths,
    audio_out=millionths,
    per_minute=millionths,
    thoughts=st.none() | millionths,
    cached_in=st.none() | millionths,
)
seconds = st.integers(0, 72_000)


def list_of(one: Price) -> PriceList:
    return PriceList({"m": (one,)})


def cost(one: Price, of_seconds: int, reported: Mapping[str, int] | None) -> int:
    found = cost_of(list_of(one), "models/m", AT, of_seconds, reported)
    assert found is not None
    return found.nanos


def test_time_costs_at_least() -> None:
    found = cost_of(PRICES, "models/gemini-3.8-live", AT, 600, None)
    assert found is not None
    assert (amount(found.nanos), found.basis, found.currency) == ("0.23", "time", "USD")


def test_reported_tokens_raise_the_cost() -> None:
    reported = {"input_tokens": 500_000, "input_audio_tokens": 500_000, "output_audio_tokens": 7_500}
    found = cost_of(PRICES, "models/gemini-3.8-live", AT, 600, reported)
    assert found is not None
    assert (amount(found.nanos), found.basis) == ("1.59", "tokens")


def test_model_without_a_price_has_no_known_cost() -> None:
    assert cost_of(PRICES, "models/other", AT, 600, {"input_tokens": 5}) is None
    assert cost_of(PriceList({}), "models/gemini-3.8-live", AT, 600, None) is None


@pytest.mark.parametrize(
    ("reported", "millionths_per_million"),
    [
        ({"input_text_tokens": 1}, TEXT),
        ({"input_audio_tokens": 1}, SOUND),
        ({"input_image_tokens": 1}, PICTURE),
        ({"input_video_tokens": 1}, PICTURE),
        ({"tool_prompt_tokens": 1}, TEXT),
        ({"output_text_tokens": 1}, WRITTEN),
        ({"output_audio_tokens": 1}, SPOKEN),
        ({"thought_tokens": 1}, WRITTEN),
        # Without a modality: the highest price of the direction.
        ({"input_tokens": 1}, SOUND),
        ({"output_tokens": 1}, SPOKEN),
        ({"input_tokens": 10, "input_text_tokens": 7}, 7 * TEXT + 3 * SOUND),
        ({"output_tokens": 10, "output_text_tokens": 7}, 7 * WRITTEN + 3 * SPOKEN),
        # The service's modalities may be more than its sum.
        ({"input_tokens": 2, "input_text_tokens": 3}, 3 * TEXT),
        # Not a direction: the parts have been counted.
        ({"total_tokens": 9}, 0),
        ({"cached_tokens": 9}, 0),
    ],
)
def test_each_kind_of_token_has_its_price(reported: dict[str, int], millionths_per_million: int) -> None:
    thousand = {name: 1000 * count for name, count in reported.items()}
    assert token_nanos(price(), thousand) == millionths_per_million


def test_thoughts_and_cached_tokens_may_have_prices_of_their_own() -> None:
    own = price(thoughts=MILLION, cached_in=75_000)
    assert token_nanos(own, {"thought_tokens": 1000}) == MILLION
    mixed = {"input_tokens": 3000, "input_text_tokens": 1000, "input_audio_tokens": 2000}
    # The cheapest are taken to be from the cache.
    assert token_nanos(own, {**mixed, "cached_tokens": 1000}) == 75_000 + 2 * SOUND
    assert token_nanos(own, {**mixed, "cached_tokens": 1500}) == 75_000 + 37_500 + 1_500 * 3000
    assert token_nanos(own, {**mixed, "cached_tokens": 9000}) == 3 * 75_000
    assert token_nanos(price(), {**mixed, "cached_tokens": 1000}) == token_nanos(price(), mixed)


@given(prices, seconds, st.none() | counts)
def test_report_never_lowers_the_cost_below_the_time(
    one: Price, of_seconds: int, reported: Mapping[str, int] | None
) -> None:
    assert cost(one, of_seconds, reported) == max(
        time_nanos(one, of_seconds), token_nanos(one, reported or {})
    )
    assert cost(one, of_seconds, reported) >= cost(one, of_seconds, None)


@given(prices, seconds, seconds)
def test_more_time_never_costs_less(one: Price, a: int, b: int) -> None:
    less, more = sorted((a, b))
    assert time_nanos(one, less) <= time_nanos(one, more)


@given(prices, counts, st.sampled_from([n for n in NAMES if n != "cached_tokens"]), tokens)
def test_more_tokens_never_cost_less(one: Price, reported: dict[str, int], name: str, more: int) -> None:
    """Added to a modality and to the sum of its direction, as the service counts them."""
    grown = {**reported, name: reported.get(name, 0) + more}
    for direction in ("input", "output"):
        if name.startswith(f"{direction}_"):
            total = f"{direction}_tokens"
            grown[total] = reported.get(total, 0) + more
    assert token_nanos(one, grown) >= token_nanos(one, reported)


@given(prices, counts, tokens)
def test_cached_tokens_never_raise_the_cost(one: Price, reported: dict[str, int], cached: int) -> None:
    without = {name: count for name, count in reported.items() if name != "cached_tokens"}
    assert token_nanos(one, {**without, "cached_tokens": cached}) <= token_nanos(one, without)


@given(
    prices, seconds, st.dictionaries(st.sampled_from(["input_text_tokens", "output_audio_tokens"]), tokens)
)
def test_cost_is_exact(one: Price, of_seconds: int, reported: dict[str, int]) -> None:
    """Compared with fractions: at most one nano too much, never too little."""
    by_time = Fraction(of_seconds * one.per_minute * NANOS, 60 * MILLION)
    text, sound = (reported.get(name, 0) for name in ("input_text_tokens", "output_audio_tokens"))
    by_tokens = Fraction((text * one.text_in + sound * one.audio_out) * NANOS, MILLION**2)
    assert 0 <= time_nanos(one, of_seconds) - by_time < 1
    assert 0 <= token_nanos(one, reported) - by_tokens < 1


@given(st.lists(counts, min_size=1, max_size=4))
def test_reports_count_the_same_in_any_order_and_repeated(reports: list[Counts]) -> None:
    nothing: Counts = {}
    results = [reduce(greater, [*order, order[0]], nothing) for order in permutations(reports)]
    assert all(result == results[0] for result in results)
    assert used(results[0]) == max(used(one) for one in reports)


@given(st.integers(0, 10**18))
def test_amount_is_exact(nanos: int) -> None:
    whole, decimals = amount(nanos).split(".")
    assert int(whole) * NANOS + int(decimals.ljust(9, "0")) == nanos
    assert len(decimals) == 2 or not decimals.endswith("0")


def test_only_token_counts_are_taken_from_a_report() -> None:
    report = {"first_audio_ms": 640, "input_tokens": 9, "output_tokens": 0, "total_tokens": 9}
    assert counts_in(report) == {"input_tokens": 9}


@pytest.mark.parametrize(
    ("reported", "elapsed", "found"),
    [
        ({}, 0, []),
        ({"input_tokens": CONTEXT_WINDOW * 10}, 10, []),
        ({"input_tokens": CONTEXT_WINDOW * 10 + 1}, 10, ["more-than-the-context"]),
        ({"input_text_tokens": CONTEXT_WINDOW * 10 + 1}, 10, ["more-than-the-context"]),
        ({"input_tokens": CONTEXT_WINDOW * 10, "thought_tokens": 1}, 10, ["more-than-the-context"]),
        ({"output_audio_tokens": AUDIO_OUT_PER_SECOND * 10}, 10, []),
        ({"output_audio_tokens": AUDIO_OUT_PER_SECOND * 10 + 1}, 10, ["more-audio-than-time"]),
        ({"output_tokens": AUDIO_OUT_PER_SECOND * 10 + 1}, 10, ["more-audio-than-time"]),
        ({"output_tokens": 90_000, "output_text_tokens": 90_000}, 10, []),
        ({"output_audio_tokens": 10**9}, 10, ["more-than-the-context", "more-audio-than-time"]),
        # A session of this moment: a clock may even be set back.
        ({"input_tokens": 400, "output_audio_tokens": 90}, 0, []),
        ({"input_tokens": 400, "output_audio_tokens": 90}, -5, []),
    ],
)
def test_impossible_counts_are_named(reported: dict[str, int], elapsed: int, found: list[str]) -> None:
    assert list(problems(reported, elapsed)) == found
