"""SqlExport: what was used in a range of days, one row for each user, service key, profile, model or day.

It reads the sums by day that `ledger.usage_sums` keeps, after bringing them up to date. Rows come in pages in
the order of their keys. Each page is a read of its own that begins after the last key, so neither the memory
nor a transaction grows with the number of users.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, func, select

from broker.sessions.cost import amount
from broker.sessions.token_counts import NAMES
from broker.settings import PriceList
from broker.store.database.engine import Database
from broker.store.database.tables import principals, service_keys
from broker.store.database.usage_days import SUMS, usage_days
from broker.store.ledger.usage_sums import UsageSums

By = Literal["user", "key", "profile", "model", "day"]
_PAGE = 1000


@dataclass(frozen=True)
class Dimension:
    """What a row stands for. `names` finds what people call a value of `column`, and `titles` name all."""

    column: ColumnElement[str]
    titles: tuple[str, ...]
    names: Select[Any] | None = None
    by: ColumnElement[str] | None = None


# A further dimension is a column of `usage_days` and an entry here.
_DIMENSIONS: Mapping[By, Dimension] = {
    "user": Dimension(
        usage_days.c.principal_key,
        ("key", "issuer", "subject"),
        select(principals.c.key, principals.c.issuer, principals.c.subject),
        principals.c.key,
    ),
    "key": Dimension(
        usage_days.c.service_key,
        ("id", "name"),
        select(service_keys.c.id, service_keys.c.name),
        service_keys.c.id,
    ),
    "profile": Dimension(usage_days.c.profile, ("profile",)),
    "model": Dimension(usage_days.c.model, ("model",)),
    "day": Dimension(usage_days.c.day, ("day",)),
}


def titles_of(by: By) -> tuple[str, ...]:
    return _DIMENSIONS[by].titles


@dataclass(frozen=True)
class Row:
    """`names` are the values of `titles_of`. `cost` is None if it is unknown; it leaves out the unpriced."""

    names: tuple[str, ...]
    sessions: int
    seconds: int
    tokens: Mapping[str, int]
    cost: str | None
    unpriced_sessions: int
    refusals: Mapping[str, int]


class SqlExport:
    def __init__(self, database: Database, sums: UsageSums, prices: PriceList) -> None:
        self._database = database
        self._sums = sums
        self.currency = prices.currency

    def pages(self, by: By, since: date, until: date) -> Iterator[Sequence[Row]]:
        """`until` is included. A page may be empty: the first ones wait for the sums."""
        for _ in self._sums.visits():
            yield ()
        dimension = _DIMENSIONS[by]
        within = usage_days.c.day.between(since.isoformat(), until.isoformat())
        last: str | None = None
        while True:
            with self._database.read() as connection:
                rows = _page(connection, dimension, within, last)
                refusals = _refusals(connection, dimension, within, rows)
                names = _names(connection, dimension, rows)
            yield [self._row(row, names[row.value], refusals[row.value]) for row in rows]
            if len(rows) < _PAGE:
                return
            last = rows[-1].value

    def _row(self, row: Any, names: tuple[str, ...], refusals: Mapping[str, int]) -> Row:
        sessions, unpriced = int(row.sessions), int(row.unpriced)
        is_known = unpriced < sessions or (not sessions and self.currency is not None)
        return Row(
            names=names,
            sessions=sessions,
            seconds=int(row.seconds),
            tokens={name: int(getattr(row, name)) for name in NAMES},
            cost=amount(int(row.nanos)) if is_known else None,
            unpriced_sessions=unpriced,
            refusals=refusals,
        )


def _page(
    connection: Connection, dimension: Dimension, within: ColumnElement[bool], last: str | None
) -> Sequence[Any]:
    value = dimension.column.label("value")
    query = (
        select(value, *(func.sum(usage_days.c[name]).label(name) for name in SUMS))
        .where(within)
        .group_by(dimension.column)
        .order_by(dimension.column)
        .limit(_PAGE)
    )
    return connection.execute(query if last is None else query.where(dimension.column > last)).all()


def _refusals(
    connection: Connection, dimension: Dimension, within: ColumnElement[bool], rows: Sequence[Any]
) -> Mapping[str, Mapping[str, int]]:
    """By code, of the rows that have any."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    refused = [row.value for row in rows if row.refusals]
    if refused:
        query = (
            select(dimension.column, usage_days.c.code, func.sum(usage_days.c.refusals))
            .where(within, usage_days.c.code != "", dimension.column.in_(refused))
            .group_by(dimension.column, usage_days.c.code)
            .order_by(usage_days.c.code)
        )
        for value, code, times in connection.execute(query):
            found[value][code] = int(times)
    return found


def _names(
    connection: Connection, dimension: Dimension, rows: Sequence[Any]
) -> Mapping[str, tuple[str, ...]]:
    """A removed user, and whoever is not known, has its key and no names."""
    names = {row.value: (row.value, *("" for _ in dimension.titles[1:])) for row in rows}
    if dimension.names is not None and dimension.by is not None:
        query = dimension.names.where(dimension.by.in_(list(names)))
        names |= {row[0]: tuple(row) for row in connection.execute(query)}
    return names
