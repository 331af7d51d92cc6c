"""Exact percentiles of whole numbers, from how often each number occurs. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

PERCENTILES = (50, 95, 99)

Percentiles = Mapping[str, float]
"""`p50`, `p95` and `p99`, in the unit of the numbers."""


def percentiles(occurrences: Mapping[int | None, int]) -> Percentiles | None:
    """`occurrences` maps each number to its count; the key None is ignored. Returns None if it is empty.

    Interpolates between two numbers, as numpy and PostgreSQL's percentile_cont do.
    """
    counts = sorted((value, times) for value, times in occurrences.items() if value is not None)
    if not counts:
        return None
    ends = list(accumulate(times for _, times in counts))

    def at(position: float) -> float:
        below = counts[bisect_right(ends, math.floor(position))][0]
        above = counts[bisect_right(ends, math.ceil(position))][0]
        return below + (above - below) * (position - math.floor(position))

    return {f"p{percent}": at((ends[-1] - 1) * percent / 100) for percent in PERCENTILES}
