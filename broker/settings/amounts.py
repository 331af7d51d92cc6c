"""Amounts of money: whole numbers in the store, decimal numbers for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NANOS = 10**9
DECIMALS = 6
"""Settings are in millionths of the currency."""
NANOS_OF_MILLIONTH = NANOS // 10**DECIMALS
BUDGETS = ("budget_per_day", "budget_per_month")
"""The limits that are amounts, in millionths."""


def amount(nanos: int) -> str:
    """In the currency, exactly: `0.0425`, with at least two decimals."""
    whole, rest = divmod(nanos, NANOS)
    decimals = f"{rest:09}".rstrip("0")
    return f"{whole}.{decimals:0<2}"


def with_amounts(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Limits by name, with the amounts among them for people."""
    return {
        name: amount(value * NANOS_OF_MILLIONTH) if name in BUDGETS and value is not None else value
        for name, value in limits.items()
    }
