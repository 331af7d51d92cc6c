"""PostgreSQL stops, becomes silent or has few connections: requests fail soon, and work again later."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg import OperationalError

from broker.errors import Refusal
from broker.settings import store_urls
from broker.store import audit
from broker.store.database.engine import Database
from broker.store.database.postgres import ImpatientConnection
from tests.support.postgres import PostgresServer
from tests.support.stores import Stores


def record(database: Database) -> str:
    try:
        with database.write() as connection:
            audit.record(connection, database.now(connection), actor="tests", action="try", outcome="ok")
    except Refusal as refusal:
        return refusal.code
    return "ok"


def execute_with_short_timeout(database: Database, statement: str) -> None:
    with database.write() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, ImpatientConnection)
        driver.silence_seconds = 0.1
        connection.exec_driver_sql(statement)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    with PostgresServer() as running:
        yield running


def test_silent_server_holds_no_request_beyond_its_deadline(
    own_postgres: PostgresServer,
) -> None:
    """The server's own timeouts do not help then. The pooled connection is tried first, then a new one."""
    database = Database(own_postgres.migrated())
    assert record(database) == "ok"
    own_postgres.freeze()
    start = time.monotonic()
    assert record(database) == "store-unavailable"
    assert time.monotonic() - start < 10
    own_postgres.thaw()
    assert record(database) == "ok"
    database.dispose()


def test_late_answer_is_never_taken_for_another_statements_answer(stores: Stores) -> None:
    database = Database(stores.migrated("postgresql").database_url, pool_size=1)
    with pytest.raises(Refusal, match="store-unavailable"):
        execute_with_short_timeout(database, "SELECT 'late', pg_sleep(0.3)")
    time.sleep(0.3)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT 'on time'").scalar_one() == "on time"
    database.dispose()


def test_many_threads_share_few_connections(stores: Stores, postgres: PostgresServer) -> None:
    """PostgreSQL has 100 connections by default; several processes of 32 threads would exhaust them."""
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


def test_connection_that_comes_back_while_a_new_one_is_refused_is_used(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(stores.migrated("postgresql").database_url)
    reading = database.read()
    reading.__enter__()
    refused = 0

    def refuse(*_: Any, **__: Any) -> None:
        nonlocal refused
        refused += 1
        reading.__exit__(None, None, None)
        raise OperationalError("too many connections")

    monkeypatch.setattr(ImpatientConnection, "connect", refuse)
    assert record(database) == "ok"
    assert refused == 1
    database.dispose()


def test_callers_wait_for_connections_that_the_role_does_not_get(
    stores: Stores, postgres: PostgresServer
) -> None:
    """The role may have fewer connections than the pool."""
    url = stores.migrated("postgresql").database_url
    role = f"few_{secrets.token_hex(4)}"
    postgres.execute(url, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 3")
    postgres.execute(url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    postgres.execute(url, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    database = Database(url.replace("broker@", f"{role}@"), pool_size=16)
    try:
        with ThreadPoolExecutor(24) as threads:
            assert list(threads.map(lambda _: record(database), range(48))) == ["ok"] * 48
    finally:
        database.dispose()


def test_connection_options_in_the_url_override_the_defaults(stores: Stores) -> None:
    url = stores.migrated("postgresql").database_url
    database = Database(f"{url}?options=-c%20statement_timeout%3D1234&application_name=voice")
    with database.read() as connection:
        shown = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("statement_timeout", "lock_timeout", "application_name")
        ]
    assert shown == ["1234ms", "3s", "voice"]
    database.dispose()


def test_server_is_reachable_through_a_unix_socket(stores: Stores, postgres: PostgresServer) -> None:
    url = postgres.through_socket(stores.migrated("postgresql").database_url)
    database = Database(store_urls.database_url(url))
    assert record(database) == "ok"
    database.dispose()


def test_restarted_server_is_used_again(own_postgres: PostgresServer) -> None:
    database = Database(own_postgres.migrated())
    assert record(database) == "ok"
    own_postgres.stop()
    assert record(database) == "store-unavailable"
    own_postgres.start()
    assert record(database) == "ok"
    database.dispose()
