"""TimeBuckets: a range of time up to now in equal parts, and the SQL that assigns moments to them.

A bucket begins at a multiple of its length since 1970, so two reads a moment apart return the same buckets.
The last bucket is still in progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


@dataclass(frozen=True)
class TimeBuckets:
    since: datetime
    seconds: int
    """The length of one bucket."""
    count: int

    @classmethod
    def until_now(cls, now: datetime, seconds: int, count: int) -> TimeBuckets:
        end = (int(now.timestamp()) // seconds + 1) * seconds
        return cls(datetime.fromtimestamp(end - seconds * count, UTC), seconds, count)

    @property
    def until(self) -> datetime:
        return self.since + timedelta(seconds=self.seconds * self.count)

    def start_of(self, number: int) -> datetime:
        return self.since + timedelta(seconds=self.seconds * number)

    @property
    def parameters(self) -> dict[str, Any]:
        """Bound values for a statement that uses `bucket_of`, `bucket_after` or `within`."""
        start = int(self.since.timestamp())
        return {"since": self.since, "until": self.until, "start": start, "length": self.seconds}


class epoch(FunctionElement[int]):  # noqa: N801 - it reads as the SQL function that it is
    """Whole seconds since 1970. The column is in UTC and carries no offset."""

    type = BigInteger()
    inherit_cache = True


@compiles(epoch, "sqlite")
def _in_sqlite(element: epoch, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **options)}) AS INTEGER)"


@compiles(epoch, "postgresql")
def _in_postgresql(element: epoch, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(floor(extract(epoch FROM {compiler.process(element.clauses, **options)})) AS BIGINT)"


_START = bindparam("start", type_=BigInteger())
_LENGTH = bindparam("length", type_=BigInteger())


def bucket_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of the bucket that contains the moment, which must be `within`."""
    return (epoch(column) - _START) // _LENGTH


def bucket_after(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of the first bucket that begins at or after the moment's second.

    It is 0 or less for a moment before the first bucket.
    """
    return (epoch(column) - _START + _LENGTH - 1) // _LENGTH


def within(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(column >= bindparam("since"), column < bindparam("until"))
