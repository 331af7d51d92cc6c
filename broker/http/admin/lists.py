"""Lists: their parameters, their pages, and the cursors that lead from one page to the next.

A cursor is the place of the last row in the list's order, so that rows that come or go between two pages move
nobody. It is opaque to callers and believed no more than any other parameter.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from flask import Response, jsonify, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from broker.errors import Refusal
from broker.http import body

_MOST_CURSOR = 2000
Place = Sequence[Any]
Q = TypeVar("Q", bound="ListQuery")
R = TypeVar("R")


def printable(text: str) -> str:
    """Everything else no name and no id here can hold, and a database may choke on it."""
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    return text


def moment(text: str) -> datetime:
    """RFC 3339 with an offset, in years that every store can hold."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a time such as 2026-11-23T10:15:00Z") from None
    if parsed.tzinfo is None or not 2000 <= parsed.year <= 2999:
        raise ValueError("must be a time with an offset, in the years 2000 to 2999")
    return parsed.astimezone(UTC)


Text = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(printable)]
Moment = Annotated[str, Field(max_length=40), AfterValidator(moment)]


class ListQuery(BaseModel):
    """What every list takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=_MOST_CURSOR)] | None = None

    def place(self, *kinds: Callable[[Any], Any]) -> Place | None:
        """Where the page begins: one value of each kind. `kinds` raise ValueError for what they are not."""
        return None if self.cursor is None else _decoded(self.cursor, kinds)


def query(model: type[Q]) -> Q:
    """The parameters in the URL; an unknown one, or one that is given twice, is refused by its name."""
    if twice := [name for name, values in request.args.lists() if len(values) > 1]:
        raise body.invalid(twice[0], "is given more than once")
    return body.validated(model, request.args.to_dict())


def page(
    name: str, rows: Sequence[R], limit: int, told: Callable[[R], Any], place: Callable[[R], Place]
) -> Response:
    """`rows` are one more than `limit` where there is a next page."""
    shown = rows[:limit]
    following = _encoded(place(shown[-1])) if len(rows) > limit else None
    return jsonify({name: [told(row) for row in shown], "next": following})


def text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 255 or not value.isprintable():
        raise ValueError
    return value


def number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError
    return value


def _encoded(place: Place) -> str:
    plain = [one.isoformat() if isinstance(one, datetime) else one for one in place]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _decoded(cursor: str, kinds: Sequence[Callable[[Any], Any]]) -> Place:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(values, list) or len(values) != len(kinds):
            raise ValueError
        return [kind(value) for kind, value in zip(kinds, values, strict=True)]
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise Refusal(
            "invalid-field",
            "Not valid: cursor.",
            hint="Take it from `next` of the page before.",
            extensions={"fields": [{"field": "cursor", "problem": "is of no page of this list"}]},
        ) from None
