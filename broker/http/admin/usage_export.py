"""GET /admin/usage/export: what was used, by user, key, profile, model or day, as a file of any length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from broker.http import body, guards
from broker.http.admin import lists
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.http.wsgi import STREAMS
from broker.operators.usage_export import Format, first_and_last, lines
from broker.parts import parts
from broker.store.reporting.dimensions import By
from broker.store.reporting.exports import SqlExport

bp = Blueprint("usage_export", __name__)

_WRITTEN = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MEDIA = {"csv": "text/csv", "jsonl": "application/jsonl"}


def _day(text: object) -> date:
    try:
        if _WRITTEN.fullmatch(str(text)) is None:
            raise ValueError  # other forms of ISO 8601
        day = date.fromisoformat(str(text))
    except ValueError:
        raise ValueError("must be a day such as 2026-11-30") from None
    if not 2000 <= day.year <= 2999:
        raise ValueError("must be a day in the years 2000 to 2999")
    return day


Day = Annotated[
    date,
    PlainValidator(
        _day,
        json_schema_input_type=Annotated[str, Field(json_schema_extra={"format": "date", "pattern": "^2"})],
    ),
]


class ExportQuery(BaseModel):
    """Days in UTC; both are included. Without them, the last 30 days."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Annotated[Day | None, Field(alias="from")] = None
    until: Annotated[Day | None, Field(alias="to")] = None
    by: By = "day"
    format: Format = "csv"


@bp.get("/usage/export")
@guards.require_operator
@operation(
    "Export sessions, seconds, tokens, cost and refusals of some days",
    query=ExportQuery,
    media="text/csv",
    other_media=("application/jsonl",),
)
def export_usage(_caller: Caller) -> Response:
    asked = lists.query(ExportQuery)
    since, until = first_and_last(asked.since, asked.until)
    if since > until:
        raise body.invalid("from", "must not be after `to`")
    export = SqlExport(parts().database, parts().usage_sums, parts().prices)
    text = lines(export, asked.by, since, until, asked.format)
    request.environ[STREAMS] = True
    response = Response(_encoded(_begun(text)), mimetype=_MEDIA[asked.format])
    name = f"usage-{asked.by}-{since}-{until}.{asked.format}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _begun(text: Iterator[str]) -> Iterator[str]:
    """Does the first steps now: if the store fails, the response is an error and not half a file."""
    first = [next(text, ""), next(text, "")]

    def pieces() -> Iterator[str]:
        yield from first
        yield from text

    return pieces()


def _encoded(text: Iterator[str]) -> Iterator[bytes]:
    for piece in text:
        yield piece.encode()
