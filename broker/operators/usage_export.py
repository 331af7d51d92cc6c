"""The rows of an export of usage as lines of CSV or JSON, for the command and the admin API. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from broker.errors import CODES
from broker.sessions.token_counts import NAMES
from broker.store.reporting.dimensions import By
from broker.store.reporting.exports import Row, SqlExport, titles_of

Format = Literal["csv", "jsonl"]
_DAYS = 30
# At the start of a cell these make a spreadsheet run the rest as a formula.
_FORMULA = re.compile("[=+\\-@\t\r]")


def first_and_last(since: date | None, until: date | None) -> tuple[date, date]:
    """The days of an export (UTC), both included: without a choice, the last 30 days."""
    last = until or datetime.now(UTC).date()
    return since or last - timedelta(days=_DAYS - 1), last


def lines(export: SqlExport, by: By, since: date, until: date, form: Format) -> Iterator[str]:
    """Text in pieces, each of whole lines. A piece may be empty while nothing is ready yet."""
    if form == "csv":
        yield _csv([[*titles_of(by), *_COLUMNS]])
    for rows in export.pages(by, since, until):
        if form == "csv":
            yield _csv([_cells(row, export.currency) for row in rows])
        else:
            yield "".join(_json(row, by, export.currency) for row in rows)


_COLUMNS = (
    "sessions",
    "seconds",
    *NAMES,
    "cost",
    "currency",
    "unpriced_sessions",
    "refusals",
    *(f"refused_{code.replace('-', '_')}" for code in CODES),
)


def _cells(row: Row, currency: str | None) -> list[object]:
    return [
        *map(_harmless, row.names),
        row.sessions,
        row.seconds,
        *(row.tokens[name] for name in NAMES),
        row.cost,
        currency,
        row.unpriced_sessions,
        sum(row.refusals.values()),
        *(row.refusals.get(code, 0) for code in CODES),
    ]


def _harmless(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _csv(rows: list[list[object]]) -> str:
    """RFC 4180."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _json(row: Row, by: By, currency: str | None) -> str:
    members = {
        **dict(zip(titles_of(by), row.names, strict=True)),
        "sessions": row.sessions,
        "seconds": row.seconds,
        **row.tokens,
        "cost": row.cost,
        "currency": currency,
        "unpriced_sessions": row.unpriced_sessions,
        "refusals": dict(row.refusals),
    }
    return json.dumps(members, ensure_ascii=False) + "\n"
