"""A fault of the store is `store-unavailable`, soon, and nothing is granted."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from broker.errors import Refusal
from broker.limits.quota import Quota, Quotas
from broker.sessions.session import SessionTerms
from broker.store.database.engine import Database
from broker.store.ledger.ledger import SqlLedger
from tests.store.conftest import MakeDatabase
from tests.support.servers import own_principal
from tests.support.stores import Stores

ROOMY = Quotas((Quota(own_principal("alice").key, 1000, 10000),), 1000)
TERMS = SessionTerms(
    "default", "models/m", session_seconds=1800, slice_seconds=900, connect_within_seconds=120, client={}
)


def reserve(database: Database) -> str:
    try:
        SqlLedger(database).reserve(own_principal("alice"), TERMS, ROOMY)
    except Refusal as refusal:
        return refusal.code
    return "ok"


@pytest.fixture
def file_database(stores: Stores) -> Iterator[Database]:
    made = Database(stores.migrated("sqlite").database_url)
    yield made
    made.dispose()


@contextmanager
def held(database: Database) -> Iterator[None]:
    """Another process holds the lock that a reservation needs: the file's, or that of the principal's row."""
    if database.is_sqlite:
        with closing(sqlite3.connect(str(database.engine.url.database), isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield
            holder.rollback()
    else:
        url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as other:
            other.execute("SELECT key FROM principals FOR UPDATE")
            yield
            other.rollback()


def test_held_lock_delays_no_one_beyond_the_deadline_of_a_request(database: Database) -> None:
    """On SQLite each request waits for its turn and then for the file. The waits must not add up."""

    def timed(_: int) -> tuple[str, float]:
        start = time.monotonic()
        return reserve(database), time.monotonic() - start

    assert reserve(database) == "ok"
    with held(database), ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(timed, range(16)))
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
def test_missing_or_replaced_database_file_is_noticed(
    file_database: Database, harm: Callable[[Path], None]
) -> None:
    assert reserve(file_database) == "ok"
    path = Path(str(file_database.engine.url.database))
    for sidecar in (f"{path}-wal", f"{path}-shm"):
        Path(sidecar).unlink(missing_ok=True)
    harm(path)
    assert reserve(file_database) == "store-unavailable"


def test_nothing_is_reserved_without_an_audit_row(make_database: MakeDatabase) -> None:
    database = make_database()
    reservation = SqlLedger(database).reserve(own_principal("alice"), TERMS, ROOMY)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE audit")
    assert reserve(database) == "audit-unavailable"
    SqlLedger(database).void(reservation, "upstream-error")
    with pytest.raises(Refusal):
        SqlLedger(database).refused(own_principal("alice"), "token", "upstream-error", reservation.session_id)
    with database.read() as connection:
        states = connection.exec_driver_sql("SELECT state FROM sessions").scalars().all()
    assert states == ["void"], "the reservation is void nevertheless"
