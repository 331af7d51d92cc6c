"""The effective setup, computed from the token's setup and the client's setup frame. Pure.

The token decides the mode. Without a setup, the frame counts. With a setup alone, the token's counts and the
frame is ignored. With a setup and a mask, the frame counts, but the token's value replaces each masked field,
and a masked field that the token lacks is unset.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

Setup = dict[str, Any]


def effective_setup(
    token_setup: Setup | None, mask: list[str], frame: Setup, ignored: Collection[str] = ()
) -> Setup:
    """`ignored`: the fields whose lock a scenario ignores."""
    if not mask:
        result = copy.deepcopy(frame if token_setup is None else token_setup)
    else:
        result = copy.deepcopy(frame)
        for path in mask:
            _overwrite(result, token_setup or {}, path.split("."))
    for field in ignored:
        _overwrite(result, frame, [field])
    return result


def locks(token_setup: Setup | None, mask: list[str], field: str) -> bool:
    """Whether the token locks this top-level field."""
    if not mask:
        return token_setup is not None
    return any(path.split(".")[0] == field for path in mask)


def _overwrite(result: Setup, source: Setup, names: list[str]) -> None:
    first, *rest = names
    if rest and (first in source or first in result):
        _overwrite(result.setdefault(first, {}), source.get(first, {}), rest)
    elif first in source:
        result[first] = copy.deepcopy(source[first])
    else:
        result.pop(first, None)
