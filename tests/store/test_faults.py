"""What goes wrong with a store is `store-unavailable`, soon, and nothing is granted beside it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker.errors import Refusal
from broker.sessions.session import Terms
from broker.store import migrate
from broker.store.engine import Database
from broker.store.ledger import SqlLedger
from tests.support.servers import own_principal

TERMS = Terms(
    "default", "models/m", session_seconds=1800, slice_seconds=900, connect_within_seconds=120, client={}
)


def reserve(database: Database) -> str:
    try:
        SqlLedger(database).reserve(own_principal("alice"), TERMS)
    except Refusal as refusal:
        return refusal.code
    return "ok"


def test_a_locked_file_keeps_nobody_beyond_a_requests_deadline(database: Database) -> None:
    """Each waits for its turn and then for the file; the waits must not add up along the queue."""
    holder = sqlite3.connect(str(database.engine.url.database), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    def timed(_: int) -> tuple[str, float]:
        start = time.monotonic()
        return reserve(database), time.monotonic() - start

    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(timed, range(16)))
    holder.rollback()
    holder.close()
    assert {code for code, _ in outcomes} == {"store-unavailable"}
    # 16 waits of 2 s one after another would be 32 s.
    assert max(seconds for _, seconds in outcomes) < 15
    assert reserve(database) == "ok"


def removed(path: Path) -> None:
    path.unlink()


def junk(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"this is no database" * 1000)


@pytest.mark.parametrize("harm", [removed, junk])
def test_a_file_that_is_gone_or_another_one_is_noticed(
    database: Database, harm: Callable[[Path], None]
) -> None:
    assert reserve(database) == "ok"
    path = Path(str(database.engine.url.database))
    for sidecar in (f"{path}-wal", f"{path}-shm"):
        Path(sidecar).unlink(missing_ok=True)
    harm(path)
    assert reserve(database) == "store-unavailable"


def test_nothing_is_reserved_that_the_trail_cannot_record(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.sqlite3")
    migrate.upgrade(database)
    lease = SqlLedger(database).reserve(own_principal("alice"), TERMS)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE audit")
    assert reserve(database) == "audit-unavailable"
    with pytest.raises(Refusal):
        SqlLedger(database).void(own_principal("alice"), lease, "upstream-error")
    with database.read() as connection:
        states = connection.exec_driver_sql("SELECT state FROM sessions").scalars().all()
    assert states == ["void"], "the reservation is given back all the same"
    database.dispose()
