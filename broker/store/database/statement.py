"""Statement: SQL that is compiled once, for the statements of every request for a token.

SQLAlchemy looks a statement up in its cache, and builds a context for running it and another one for its
result each time. That takes ten times as long as SQLite needs to run it. A Statement goes straight to the
driver as text, with the values converted as its column types say. It belongs to SQLAlchemy's transaction, and
its faults are SQLAlchemy's. Results are what the driver returns: text, numbers and bytes are the same on both
databases. Times and JSON are not: a Query converts them.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NoReturn, Self, cast

from sqlalchemy import ClauseElement, Connection, Dialect, Select, Table, bindparam, insert
from sqlalchemy.sql.compiler import SQLCompiler

_NO_VALUES: Mapping[str, Any] = {}


class Rows(list[Any]):
    """The rows of a result, as tuples. `changed`: how many rows an UPDATE or a DELETE has found."""

    def __init__(self, rows: Iterable[Any], changed: int) -> None:
        super().__init__(rows)
        self.changed = changed

    def first(self) -> Any:
        """The first row; None if there is none."""
        return self[0] if self else None

    def scalar(self) -> Any:
        """The only value of the only row."""
        ((value,),) = self
        return value


def run_sql(connection: Connection, sql: str, parameters: Any = ()) -> Rows:
    """Run the driver's form of a statement."""
    if connection.dispatch.before_cursor_execute:  # somebody listens to the statements
        result = connection.exec_driver_sql(sql, parameters)
        return Rows(result.all() if result.returns_rows else (), result.rowcount)
    plain = connection.connection.dbapi_connection
    assert plain is not None
    cursor: Any = plain.cursor()
    try:
        cursor.execute(sql, parameters)
        return Rows(cursor.fetchall() if cursor.description else (), cursor.rowcount)
    except connection.dialect.loaded_dbapi.Error as fault:
        raise_as_sqlalchemy(connection, fault, sql, cursor)
    finally:
        cursor.close()


def raise_as_sqlalchemy(connection: Connection, fault: Exception, sql: str, cursor: Any) -> NoReturn:
    """The driver's fault as if SQLAlchemy had run the statement.

    Ends the connection if it is broken, and tells the listeners.
    """
    connection._handle_dbapi_exception(fault, sql, None, cursor, None)


class Statement:
    """`clause` must not depend on its values: no IN with a list of any length."""

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Mapping[str, Any] = _NO_VALUES) -> Rows:
        compiled = self._for(connection.dialect)
        return run_sql(connection, compiled.sql, compiled.parameters(values))

    def _for(self, dialect: Dialect) -> _Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _Compiled(self._clause, dialect)
        return found


class Writes:
    """Statements that are run together when the block ends: on PostgreSQL as one, in one round trip.

    Their order is undefined and none sees what another one changes, so no two may change the same row.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[Statement, Mapping[str, Any]]] = []

    def add(self, statement: Statement, values: Mapping[str, Any]) -> None:
        self._waiting.append((statement, values))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, fault: object, *_: object) -> None:
        if fault is not None:
            return
        if self._connection.dialect.name == "sqlite" or len(self._waiting) == 1:
            for statement, values in self._waiting:
                statement.run(self._connection, values)
        elif self._waiting:
            self._run_as_one()

    def _run_as_one(self) -> None:
        dialect = self._connection.dialect
        parameters = {
            f"w{number}_{name}": value
            for number, (statement, values) in enumerate(self._waiting)
            for name, value in statement._for(dialect).parameters(values).items()
        }
        sql = _as_one(tuple(statement._for(dialect).sql for statement, _ in self._waiting))
        run_sql(self._connection, sql, parameters)


@cache
def _as_one(each: tuple[str, ...]) -> str:
    renamed = (re.sub(r"%\((\w+)\)s", rf"%(w{number}_\1)s", sql) for number, sql in enumerate(each))
    return f"WITH {', '.join(f'w{number} AS ({sql})' for number, sql in enumerate(renamed))} SELECT 1"


class Query(Statement):
    """A SELECT whose rows have names, and values as the types of their columns say."""

    def __init__(self, clause: Select[Any]) -> None:
        super().__init__(clause)
        columns = clause.selected_columns
        names = list(columns.keys())
        self._named: Callable[[Iterable[Any]], Any] = cast(Any, namedtuple)("named", names)._make
        self._types = [column.type for column in columns]
        self._converts: dict[str, list[tuple[int, Callable[[Any], Any]]]] = {}

    def rows(self, connection: Connection, values: Mapping[str, Any] = _NO_VALUES) -> list[Any]:
        found = []
        for row in self.run(connection, values):
            plain = list(row)
            for number, convert in self._converters(connection.dialect):
                if plain[number] is not None:
                    plain[number] = convert(plain[number])
            found.append(self._named(plain))
        return found

    def _converters(self, dialect: Dialect) -> list[tuple[int, Callable[[Any], Any]]]:
        """Of the columns that need one."""
        converts = self._converts.get(dialect.name)
        if converts is None:
            each = [one.dialect_impl(dialect).result_processor(dialect, None) for one in self._types]
            converts = [(number, convert) for number, convert in enumerate(each) if convert is not None]
            self._converts[dialect.name] = converts
        return converts


def insert_of(table: Table, *columns: str) -> Statement:
    """An INSERT of one row with these columns."""
    values = {name: bindparam(name, type_=table.c[name].type) for name in columns}
    return Statement(insert(table).inline().values(values))


class _Compiled:
    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self._order = compiled.positiontup
        self._constants: dict[str, Any] = {}
        self._converted: list[tuple[str, Callable[[Any], Any] | None]] = []
        for bind, name in compiled.bind_names.items():
            convert: Callable[[Any], Any] | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if bind.required:
                self._converted.append((name, convert))
            else:
                value = bind.effective_value
                self._constants[name] = convert(value) if convert is not None else value

    def parameters(self, values: Mapping[str, Any]) -> Any:
        found = dict(self._constants)
        for name, convert in self._converted:
            value = values[name]
            found[name] = value if convert is None else convert(value)
        if self._order is None:
            return found
        return tuple([found[name] for name in self._order])
