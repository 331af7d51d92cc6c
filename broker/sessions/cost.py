"""The cost of a session: what its time costs at least, or what its client reported, whichever is more. Pure.

Costs are whole nanos (thousandths of a millionth) of the currency. Each of the two amounts is rounded up to
one, once; sums of costs are sums of whole numbers. Python's integers have no largest number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from broker.sessions.token_counts import Counts
from broker.settings.amounts import NANOS_OF_MILLIONTH
from broker.settings.prices import Price, PriceList

# A price per million tokens in millionths is a price per token in 10^-12: a thousandth of a nano.
_PARTS_OF_NANO = 1000

Basis = Literal["time", "tokens"]


@dataclass(frozen=True)
class Cost:
    """`basis`: which of the two amounts it is."""

    nanos: int
    basis: Basis
    currency: str


def cost_of(
    prices: PriceList, model: str, opened_at: datetime, seconds: int, counts: Counts | None
) -> Cost | None:
    """`seconds` are charged for the session; `counts` is the report that counts. None: there is no price.

    The prices are those of the day on which the session was opened.
    """
    price = prices.at(model, opened_at)
    if price is None:
        return None
    by_time = time_nanos(price, seconds)
    by_tokens = token_nanos(price, counts) if counts else 0
    if by_tokens > by_time:
        return Cost(by_tokens, "tokens", price.currency)
    return Cost(by_time, "time", price.currency)


def time_nanos(price: Price, seconds: int) -> int:
    return _rounded_up(seconds * price.per_minute * NANOS_OF_MILLIONTH, 60)


def token_nanos(price: Price, counts: Counts) -> int:
    """What Google charges for the tokens of a report.

    Tokens that the report gives to no modality have the highest price of their direction. Cached tokens
    replace the cheapest ones, so a doubt never lowers the cost.
    """
    get = counts.get
    pictures = get("input_image_tokens", 0) + get("input_video_tokens", 0)
    # What the service's own tools return to the model is text.
    inputs = [
        (price.text_in, get("input_text_tokens", 0) + get("tool_prompt_tokens", 0)),
        (price.audio_in, get("input_audio_tokens", 0)),
        (price.video_in, pictures),
    ]
    known_in = get("input_text_tokens", 0) + get("input_audio_tokens", 0) + pictures
    dearest_in = max(price.text_in, price.audio_in, price.video_in)
    inputs.append((dearest_in, max(0, get("input_tokens", 0) - known_in)))
    text_out, audio_out = get("output_text_tokens", 0), get("output_audio_tokens", 0)
    thoughts = price.text_out if price.thoughts is None else price.thoughts
    total = (
        sum(each * tokens for each, tokens in inputs)
        - _saved(price, inputs, get("cached_tokens", 0))
        + price.text_out * text_out
        + price.audio_out * audio_out
        + max(price.text_out, price.audio_out) * max(0, get("output_tokens", 0) - text_out - audio_out)
        + thoughts * get("thought_tokens", 0)
    )
    return _rounded_up(total, _PARTS_OF_NANO)


def _saved(price: Price, inputs: list[tuple[int, int]], cached: int) -> int:
    saved = 0
    if price.cached_in is not None:
        for each, tokens in sorted(inputs):
            of_these = min(cached, tokens)
            saved += max(0, each - price.cached_in) * of_these
            cached -= of_these
    return saved


def _rounded_up(number: int, parts: int) -> int:
    return -(-number // parts)
