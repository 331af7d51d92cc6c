"""PostgreSQL stops, falls silent or has few connections: nobody waits for long, and it is used again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from broker.errors import Refusal
from broker.settings import parsers
from broker.store.database.engine import Database
from broker.store.database.postgres import PatientNoLonger
from broker.store.trail import SqlTrail
from tests.support.postgres import PostgresServer
from tests.support.stores import Stores


def record(database: Database) -> str:
    try:
        SqlTrail(database).record(actor="tests", action="try", outcome="ok", detail={})
    except Refusal as refusal:
        return refusal.code
    return "ok"


def impatient(database: Database, statement: str) -> None:
    with database.write() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, PatientNoLonger)
        driver.silence_seconds = 0.1
        connection.exec_driver_sql(statement)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    with PostgresServer() as running:
        yield running


def test_a_server_that_falls_silent_keeps_nobody_beyond_a_requests_deadline(
    own_postgres: PostgresServer,
) -> None:
    """Its own timeouts are of no use then. The pool's connection is tried first, and then a new one."""
    database = Database(own_postgres.migrated())
    assert record(database) == "ok"
    own_postgres.freeze()
    start = time.monotonic()
    assert record(database) == "store-unavailable"
    assert time.monotonic() - start < 10
    own_postgres.thaw()
    assert record(database) == "ok"
    database.dispose()


def test_a_late_answer_is_never_taken_for_the_one_to_another_statement(stores: Stores) -> None:
    database = Database(stores.migrated("postgresql").database_url, pool_size=1)
    with pytest.raises(Refusal, match="store-unavailable"):
        impatient(database, "SELECT 'late', pg_sleep(0.3)")
    time.sleep(0.3)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT 'of this one'").scalar_one() == "of this one"
    database.dispose()


def test_many_threads_share_few_connections(stores: Stores, postgres: PostgresServer) -> None:
    """PostgreSQL has 100 for all; 32 threads in each of some processes would use them up."""
    url = stores.migrated("postgresql").database_url
    database = Database(url, pool_size=34)
    with ThreadPoolExecutor(34) as threads:
        assert set(threads.map(lambda _: record(database), range(68))) == {"ok"}
    name = database.engine.url.database
    (connections,) = postgres.execute(
        url, f"SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = '{name}'"
    )[0]
    assert connections <= 16
    database.dispose()


def test_what_the_url_says_of_a_connection_comes_before_what_we_say(stores: Stores) -> None:
    url = stores.migrated("postgresql").database_url
    database = Database(f"{url}?options=-c%20statement_timeout%3D1234&application_name=voice")
    with database.read() as connection:
        shown = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("statement_timeout", "lock_timeout", "application_name")
        ]
    assert shown == ["1234ms", "3s", "voice"]
    database.dispose()


def test_it_can_be_reached_through_a_unix_socket(stores: Stores, postgres: PostgresServer) -> None:
    url = postgres.through_socket(stores.migrated("postgresql").database_url)
    database = Database(parsers.database_url(url))
    assert record(database) == "ok"
    database.dispose()


def test_a_server_that_is_gone_and_back_is_used_again(own_postgres: PostgresServer) -> None:
    database = Database(own_postgres.migrated())
    assert record(database) == "ok"
    own_postgres.stop()
    assert record(database) == "store-unavailable"
    own_postgres.start()
    assert record(database) == "ok"
    database.dispose()
