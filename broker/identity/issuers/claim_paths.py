"""Finds a claim by its path, and reads what it says without guessing at its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def find(claims: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at the path, or None."""
    value: Any = claims
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value


def texts(value: Any) -> frozenset[str]:
    """What a claim says that may be one text or a list of them. Nothing else says anything."""
    items = value if isinstance(value, list) else [value]
    return frozenset(item for item in items if isinstance(item, str))


def says(value: Any, wanted: Sequence[str | bool | int]) -> bool:
    """Whether the claim, or one item of it, is one of the wanted values. `True` is not 1, and "1" neither."""
    if value is None or not wanted:
        return value is not None
    items = value if isinstance(value, list) else [value]
    return any(type(item) is type(want) and item == want for item in items for want in wanted)
