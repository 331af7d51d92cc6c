"""Strict JSON (RFC 8259): rejects everything that two parsers could read differently. A leaf.

Python's own parser guesses the encoding, accepts NaN, and keeps the last of two members with the same name.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn


def loads(raw: bytes) -> Any:
    """Raises ValueError if the bytes are not UTF-8, not JSON, ambiguous, or nested too deeply."""
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
