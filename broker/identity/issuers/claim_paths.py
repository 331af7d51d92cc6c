"""Finds a claim by its path and reads its value without conversion of types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# RFC 6749, section 3.3, and RFC 8693, section 4.2: one string with the scopes, separated by spaces. Entra
# names the claim `scp`.
SCOPES = {"scope", "scp"}


def find(claims: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at the path, or None."""
    value: Any = claims
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    if isinstance(value, str) and path[-1] in SCOPES:
        # The whole string stays, for entries that name all scopes in their order.
        return [value, *(one for one in value.split(" ") if one and one != value)]
    return value


def texts(value: Any) -> frozenset[str]:
    """The strings of a claim that is a string or a list. Other values are ignored."""
    items = value if isinstance(value, list) else [value]
    return frozenset(item for item in items if isinstance(item, str))


def matches(value: Any, wanted: Sequence[str | bool | int]) -> bool:
    """Whether the claim, or one item of it, equals a wanted value. `True`, 1 and "1" are different."""
    if value is None or not wanted:
        return value is not None
    items = value if isinstance(value, list) else [value]
    return any(type(item) is type(want) and item == want for item in items for want in wanted)
