"""Statement: SQL that is compiled once, for the statements of every request for a token.

SQLAlchemy looks a statement up in its cache and builds an execution context for it each time. That takes ten
times as long as SQLite needs to run it. A Statement goes to the driver as text, with the values converted as
its column types say. It still passes SQLAlchemy's transaction, events and errors. Results are what the driver
returns: text, numbers and bytes are the same on both databases; select no times and no JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect, Table, bindparam, insert
from sqlalchemy.sql.compiler import SQLCompiler

_NO_VALUES: Mapping[str, Any] = {}


class Statement:
    """`clause` must not depend on its values: no IN with a list of any length."""

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Mapping[str, Any] = _NO_VALUES) -> CursorResult[Any]:
        compiled = self._for(connection.dialect)
        return connection.exec_driver_sql(compiled.sql, compiled.parameters(values))

    def run_all(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Once for each of `rows`, which are not empty."""
        compiled = self._for(connection.dialect)
        parameters: Any = [compiled.parameters(values) for values in rows]
        connection.exec_driver_sql(compiled.sql, parameters)

    def _for(self, dialect: Dialect) -> _Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _Compiled(self._clause, dialect)
        return found


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
