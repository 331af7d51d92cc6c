"""Steps: a stretch of time up to now in equal parts, and the SQL that tells in which part a moment falls.

A step begins at a multiple of its length since 1970, so that two looks a moment apart show the same steps;
the last one is still going on.
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
class Steps:
    since: datetime
    seconds: int
    count: int

    @classmethod
    def until_now(cls, now: datetime, seconds: int, count: int) -> Steps:
        end = (int(now.timestamp()) // seconds + 1) * seconds
        return cls(datetime.fromtimestamp(end - seconds * count, UTC), seconds, count)

    @property
    def until(self) -> datetime:
        return self.since + timedelta(seconds=self.seconds * self.count)

    def start_of(self, number: int) -> datetime:
        return self.since + timedelta(seconds=self.seconds * number)

    @property
    def values(self) -> dict[str, Any]:
        """What a statement with `step_of`, `step_after` or `within` is given."""
        start = int(self.since.timestamp())
        return {"since": self.since, "until": self.until, "start": start, "step": self.seconds}


class epoch(FunctionElement[int]):  # noqa: N801 - it reads as the function that it is
    """Whole seconds since 1970 of one of our columns, which are in UTC without saying so."""

    type = BigInteger()
    inherit_cache = True


@compiles(epoch, "sqlite")
def _in_sqlite(element: epoch, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **options)}) AS INTEGER)"


@compiles(epoch, "postgresql")
def _in_postgresql(element: epoch, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(floor(extract(epoch FROM {compiler.process(element.clauses, **options)})) AS BIGINT)"


_START = bindparam("start", type_=BigInteger())
_STEP = bindparam("step", type_=BigInteger())


def step_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of the step in which the moment falls, which must be `within`."""
    return (epoch(column) - _START) // _STEP


def step_after(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of the first step that begins at the moment's second or later; 0 or less before them all."""
    return (epoch(column) - _START + _STEP - 1) // _STEP


def within(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(column >= bindparam("since"), column < bindparam("until"))
