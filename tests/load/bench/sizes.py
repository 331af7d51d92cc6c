"""Sizes: the bytes of a row in each table that grows with use, with its share of the indexes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, insert, select, text

from broker.store.database.engine import Database
from broker.store.database.tables import audit, places, principals, sessions, tokens
from tests.load.bench.stock import stock
from tests.support.servers import own_principal

_TABLES = (principals, sessions, tokens, places, audit)
_AT_ONCE = 5000


@dataclass(frozen=True)
class Size:
    table: str
    store: str
    bytes_per_row: float


def sizes(kind: str, url: str, rows: int) -> list[Size]:
    """Writes `rows` open sessions of half as many people, each with a token and two rows of the trail."""
    database = Database(url, pool_size=1)
    stock(database, callers=0, open_sessions=rows)
    _trail(database, rows * 2)
    with database.engine.connect() as connection:
        numbers = {table: connection.scalar(select(func.count()).select_from(table)) for table in _TABLES}
        bytes_of = {}
        for table in _TABLES:
            if database.is_sqlite:
                size = text(
                    "SELECT sum(pgsize) FROM dbstat WHERE name IN "
                    "(SELECT name FROM sqlite_schema WHERE tbl_name = :name)"
                )
            else:
                size = text("SELECT pg_total_relation_size(:name)")
            bytes_of[table] = connection.scalar(size, {"name": table.name})
    database.dispose()
    return [Size(table.name, kind, float(bytes_of[table]) / max(1, numbers[table] or 0)) for table in _TABLES]


def _trail(database: Database, rows: int) -> None:
    """As a token leaves them: one row for the reservation, one for the token."""
    with database.write() as connection:
        now = database.now(connection)
        for start in range(0, rows, _AT_ONCE):
            batch = [
                {
                    "at": now,
                    "actor": f"live-broker {own_principal(f'other{one // 4}').subject}",
                    "action": "token",
                    "outcome": "reserved" if one % 2 else "ok",
                    "request_id": f"{one:032x}",
                    "session_id": f"ses_{one // 2:032x}",
                    "token_sha256": None if one % 2 else f"{one:064x}",
                    "detail": None,
                    "times": 1,
                }
                for one in range(start, min(rows, start + _AT_ONCE))
            ]
            connection.execute(insert(audit), batch)
