"""Searching for a part of a text, whatever characters it has."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func

_ESCAPE = "\\"


def holds(column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    """Whether `part` is in it. Case counts for nothing, as far as the database knows of case: ASCII at least.

    The database lowers both sides, so that a text is always found by itself.
    """
    as_it_is = "".join(f"{_ESCAPE}{one}" if one in (_ESCAPE, "%", "_") else one for one in part)
    return func.lower(column).like(func.lower(f"%{as_it_is}%"), escape=_ESCAPE)
