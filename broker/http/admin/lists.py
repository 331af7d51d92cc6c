"""Lists: their query parameters, their pages, and the cursors that lead from one page to the next.

A cursor holds the position of the last row in the list's order, so rows that come or go between two pages
shift nothing. It is opaque to callers, and validated like any other parameter.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from flask import request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, TypeAdapter

from broker.errors import Refusal
from broker.http import body
from broker.principal import is_readable

_MAX_CURSOR = 2000
Position = TypeVar("Position", bound=tuple[object, ...])
Q = TypeVar("Q", bound=BaseModel)
R = TypeVar("R")


def readable(text: str) -> str:
    """No name and no id contains other characters, and a database may fail on them."""
    if not is_readable(text):
        raise ValueError("must have no control characters")
    return text


def moment(text: object) -> datetime:
    """RFC 3339 with an offset, in years that every store supports."""
    try:
        parsed = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError("must be a time such as 2026-11-23T10:15:00Z") from None
    if parsed.tzinfo is None or not 2000 <= parsed.year <= 2999:
        raise ValueError("must be a time with an offset, in the years 2000 to 2999")
    return parsed.astimezone(UTC)


Text = Annotated[
    str, Field(min_length=1, max_length=255, json_schema_extra=body.NO_CONTROLS), AfterValidator(readable)
]
Moment = Annotated[
    datetime,
    PlainValidator(
        moment,
        json_schema_input_type=Annotated[
            str, Field(max_length=40, json_schema_extra={"format": "date-time", "pattern": "^2"})
        ],
    ),
]
# Parts of a position. A row may have an empty text where a parameter may not.
PositionText = Annotated[str, Field(max_length=255), AfterValidator(readable)]
PositionNumber = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class ListQuery(BaseModel):
    """The parameters of every list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=_MAX_CURSOR)] | None = None

    def position(self, kind: TypeAdapter[Position]) -> Position | None:
        """Where the page begins; None for the first page. Rejects a cursor that is not of this `kind`."""
        return None if self.cursor is None else _decoded(self.cursor, kind)


def query(model: type[Q]) -> Q:
    """The parameters in the URL. Rejects an unknown parameter, or one that appears twice, by its name."""
    if twice := [name for name, values in request.args.lists() if len(values) > 1]:
        raise body.invalid(twice[0], "appears more than once")
    return body.validated(model, request.args.to_dict())


def cut(
    rows: Sequence[R], limit: int, position: Callable[[R], tuple[object, ...]]
) -> tuple[Sequence[R], str | None]:
    """The rows of this page, and the cursor of the next. `rows` has one extra row if there is a next page."""
    shown = rows[:limit]
    return shown, _encoded(position(shown[-1])) if len(rows) > limit else None


def _encoded(position: tuple[object, ...]) -> str:
    plain = [one.isoformat() if isinstance(one, datetime) else one for one in position]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _decoded(cursor: str, kind: TypeAdapter[Position]) -> Position:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return kind.validate_python(json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise Refusal(
            "invalid-field",
            "Invalid value: cursor.",
            hint="Take the cursor from `next` of the previous page.",
            extensions={"fields": [{"field": "cursor", "problem": "is not a cursor of this list"}]},
        ) from None
