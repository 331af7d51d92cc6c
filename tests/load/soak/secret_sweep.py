"""The sweep of a soak: no secret that a client held is in a log, in the database or in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import select

from broker.store.database.engine import Database
from broker.store.database.tables import metadata
from tests.load.soak.needles import Needles

# Lines with one of these report a fault of the broker itself.
_FAULTS = ('"event":"request_failed"', '"event": "request_failed"', "Traceback (most recent call last)")
_SHOWN = 400


def sweep_logs(paths: list[Path], needles: Needles) -> Iterator[str]:
    for path in paths:
        with path.open(errors="replace") as lines:
            for line in lines:
                if found := needles.found_in(line):
                    yield f"a secret in {path.name}: …{found[0][-6:]} in {_censored(line, found)}"
                if any(fault in line for fault in _FAULTS):
                    yield f"a fault of the broker in {path.name}: {line.strip()[:_SHOWN]}"


def sweep_tables(database: Database, needles: Needles, names: set[str] | None = None) -> Iterator[str]:
    """Every column of text, JSON or bytes of the named tables, or of all."""
    with database.engine.begin() as connection:  # a cursor at the server needs a transaction
        for table in metadata.sorted_tables:
            if names is not None and table.name not in names:
                continue
            # Closed also when a fault of the soak ends the connection.
            with connection.execution_options(yield_per=1000).execute(select(table)) as rows:
                for row in rows:
                    for column, value in row._mapping.items():
                        if needles.found_in(_text(value)):
                            yield f"a secret in {table.name}.{column}"


def sweep_redis(connection: redis.Redis, needles: Needles) -> Iterator[str]:
    for key in connection.scan_iter(count=1000):
        if needles.found_in(_text(key)) or needles.found_in(_text(connection.dump(key))):
            yield f"a secret in the Redis key {_text(key)[:60]}"


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _censored(line: str, words: list[str]) -> str:
    for word in words:
        line = line.replace(word, "[…]")
    return line.strip()[:_SHOWN]
