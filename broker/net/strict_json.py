"""JSON as the RFC has it, and nothing that two readers could read in two ways. A leaf.

Python's reader guesses the encoding, takes NaN, and of a member that comes twice keeps the last one.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn


def loads(raw: bytes) -> Any:
    """Raises ValueError for whatever is not UTF-8, not JSON, ambiguous, or nested beyond reason."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
