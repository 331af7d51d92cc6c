"""PRICES: a price list for tests, apart from the shipped one, whose prices change."""

from __future__ import annotations

from typing import Any

from broker.settings import Price, PriceList

# In millionths of the currency, per million tokens and per minute.
_KEYS = {
    "text_in": 750_000,
    "audio_in": 3_000_000,
    "video_in": 1_000_000,
    "text_out": 4_500_000,
    "audio_out": 12_000_000,
    "per_minute": 23_000,
}


def price(**changed: Any) -> Price:
    """The numbers are in millionths, as a parsed price has them."""
    return Price.model_construct(**{**_KEYS, **changed})


PRICES = PriceList({"gemini-3.8-live": (price(),)})
