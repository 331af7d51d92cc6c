"""SqlExport: what was used in a range of days, one row for each user, service key, team, profile,
model or day.

It reads the sums by day that `ledger.usage_sums` keeps, after bringing them up to date: a thousand users at a
time, in the order of their keys. Each page is a read of its own that begins after the last key, so neither
the memory nor a transaction grows with the number of users.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from broker.sessions.token_counts import NAMES
from broker.settings import PriceList
from broker.settings.amounts import amount
from broker.store.database.engine import Database
from broker.store.database.sum_tables import SUMS, usage_days
from broker.store.database.tables import principals, service_keys
from broker.store.ledger.usage_sums import UsageSums
from broker.store.reporting.dimensions import By

_PAGE = 1000


@dataclass(frozen=True)
class Dimension:
    """What a row stands for. `names` finds what people call a value of `column`, and `titles` name all."""

    column: ColumnElement[str]
    titles: tuple[str, ...]
    names: Select[Any] | None = None
    by: ColumnElement[str] | None = None


# A further dimension is a column of `usage_days`, a choice in `dimensions` and an entry here.
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
    "team": Dimension(usage_days.c.team, ("team",)),
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
        query = _sums_of(dimension, since, until)
        groups: dict[str, _Group] = defaultdict(_Group)
        last: str | None = None
        while True:
            with self._database.read() as connection:
                users = connection.execute(_next_users(last)).scalars().all()
                if not users:
                    break
                bounds = {"first": users[0], "last": users[-1]}
                for row in connection.execute(query, bounds):
                    groups[row.value].add(row)
                # All of a user is on one page. The few groups of any other kind need all pages.
                rows = self._rows(connection, dimension, groups) if by == "user" else []
            yield rows
            if by == "user":
                groups.clear()
            last = users[-1]
        with self._database.read() as connection:
            rows = self._rows(connection, dimension, groups)
        yield rows

    def _rows(
        self, connection: Connection, dimension: Dimension, groups: Mapping[str, _Group]
    ) -> Sequence[Row]:
        names = _names(connection, dimension, list(groups))
        return [self._row(names[value], groups[value]) for value in sorted(groups)]

    def _row(self, names: tuple[str, ...], group: _Group) -> Row:
        sessions, unpriced = group.sums["sessions"], group.sums["unpriced"]
        is_known = unpriced < sessions or (not sessions and self.currency is not None)
        return Row(
            names=names,
            sessions=sessions,
            seconds=group.sums["seconds"],
            tokens={name: group.sums[name] for name in NAMES},
            cost=amount(group.sums["nanos"]) if is_known else None,
            unpriced_sessions=unpriced,
            refusals=dict(sorted(group.refusals.items())),
        )


@dataclass
class _Group:
    """The sums of one row while it is read."""

    sums: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)

    def add(self, row: Any) -> None:
        for name in SUMS:
            self.sums[name] += int(getattr(row, name))
        if row.code:
            self.refusals[row.code] += int(row.refusals)


def _next_users(last: str | None) -> Select[Any]:
    key = usage_days.c.principal_key
    query = select(key).distinct().order_by(key).limit(_PAGE)
    return query if last is None else query.where(key > last)


def _sums_of(dimension: Dimension, since: date, until: date) -> Select[Any]:
    return (
        select(
            dimension.column.label("value"),
            usage_days.c.code,
            *(func.sum(usage_days.c[name]).label(name) for name in SUMS),
        )
        .where(
            usage_days.c.principal_key.between(bindparam("first"), bindparam("last")),
            usage_days.c.day.between(since.isoformat(), until.isoformat()),
        )
        .group_by(dimension.column, usage_days.c.code)
    )


def _names(
    connection: Connection, dimension: Dimension, values: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """Removed users and unknown callers have a key but no names."""
    names = {value: (value, *("" for _ in dimension.titles[1:])) for value in values}
    if dimension.names is not None and dimension.by is not None:
        query = dimension.names.where(dimension.by.in_(values))
        names |= {row[0]: tuple(row) for row in connection.execute(query)}
    return names
