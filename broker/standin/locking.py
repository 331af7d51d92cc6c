"""How a token's setup and the client's setup frame make the setup that counts.

Three modes, by what the token holds: nothing -> the frame; a setup alone -> the token's, the frame's
ignored whole; a setup and a mask -> the frame, with each masked field overwritten by the token's, or unset
where the token has none. Pure.
"""

from __future__ import annotations

import copy
from typing import Any

Setup = dict[str, Any]


def effective_setup(token_setup: Setup | None, mask: list[str], frame: Setup) -> Setup:
    if not mask:
        return copy.deepcopy(frame if token_setup is None else token_setup)
    result = copy.deepcopy(frame)
    for path in mask:
        _overwrite(result, token_setup or {}, path.split("."))
    return result


def locks(token_setup: Setup | None, mask: list[str], field: str) -> bool:
    """Whether the token decides over this top-level field."""
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
