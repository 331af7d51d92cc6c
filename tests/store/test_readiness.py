"""A store that answers but takes no writes is not ready, mints nothing, and heals without a restart."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis
from sqlalchemy import event, make_url

from broker.errors import Refusal
from broker.limits.limiter import create_rates, redis_storage
from broker.limits.redis_failover import surviving_failover
from broker.store.database.engine import Database
from broker.store.ledger.rates import rate_storage
from broker.store.readiness import Readiness
from tests.store.conftest import MakeDatabase
from tests.store.test_faults import reserve
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.stores import Stores
from tests.support.tcp_proxy import TcpProxy


def readiness(database: Database, redis_url: str | None = None) -> Readiness:
    clock = iter(range(0, 100_000, 10))
    return Readiness(database, create_rates(rate_storage(database, redis_url)), clock=lambda: next(clock))


def outcome(ready: Readiness) -> tuple[str, str]:
    """Its code and its reason."""
    try:
        ready.check()
    except Refusal as refusal:
        return refusal.code, refusal.reason or ""
    return "ok", ""


def test_healthy_store_is_ready_and_the_check_leaves_no_audit_row(database: Database) -> None:
    ready = readiness(database)
    assert [outcome(ready) for _ in range(3)] == [("ok", "")] * 3
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit").scalar_one() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM rate_windows").scalar_one() == 1


def test_store_is_asked_at_most_once_a_second(database: Database) -> None:
    now = [0.0]
    rates = create_rates(rate_storage(database, None))
    ready = Readiness(database, rates, clock=lambda: now[0])
    written: list[str] = []
    event.listen(database.engine, "commit", lambda _: written.append("commit"))
    for now[0] in (10.0, 10.1, 10.9, 11.1):
        ready.check()
    assert len(written) == 2


@pytest.mark.parametrize(
    ("revision", "words"), [("0004", "older"), ("9999", "newer"), (None, "no schema"), ("gone", "no schema")]
)
def test_schema_of_another_version_is_not_ready_and_mints_nothing(
    database: Database, revision: str | None, words: str
) -> None:
    ready = readiness(database)
    assert reserve(database) == "ok"
    change = {None: "DELETE FROM alembic_version", "gone": "DROP TABLE alembic_version"}.get(
        revision, f"UPDATE alembic_version SET version_num = '{revision}'"
    )
    with database.migration() as connection:
        connection.exec_driver_sql(change)
    code, reason = outcome(ready)
    assert code == "store-unavailable"
    assert words in reason
    assert reserve(database) == "store-unavailable"


def refuse_audit_rows(database: Database) -> None:
    with database.write() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql(
                "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        else:
            connection.exec_driver_sql(
                "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'"
            )
            connection.exec_driver_sql("CREATE TRIGGER no BEFORE INSERT ON audit EXECUTE FUNCTION no()")


def drop_sessions(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE tokens")


@pytest.mark.parametrize(
    ("harm", "code"), [(refuse_audit_rows, "audit-unavailable"), (drop_sessions, "store-unavailable")]
)
def test_table_that_refuses_rows_is_not_ready(
    database: Database, harm: Callable[[Database], None], code: str
) -> None:
    ready = readiness(database)
    assert outcome(ready) == ("ok", "")
    harm(database)
    assert outcome(ready)[0] == code


def test_sqlite_that_is_read_only_is_not_ready(stores: Stores) -> None:
    database = Database(stores.migrated("sqlite").database_url)
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=1"))
    assert outcome(readiness(database))[0] != "ok"
    assert reserve(database) != "ok"
    database.dispose()


@contextmanager
def full_disk(path: str) -> Iterator[None]:
    """No file of this process may grow beyond the present size of the write-ahead log."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_sqlite_on_a_full_disk_is_not_ready_until_there_is_room(stores: Stores) -> None:
    database = Database(stores.migrated("sqlite").database_url)
    ready = readiness(database)
    assert (reserve(database), outcome(ready)) == ("ok", ("ok", ""))
    with full_disk(str(database.engine.url.database)):
        assert outcome(ready)[0] == "store-unavailable"
        assert reserve(database) == "store-unavailable"
    assert (reserve(database), outcome(ready)) == ("ok", ("ok", ""))
    database.dispose()


def set_read_only(postgres: PostgresServer, url: str, value: str) -> None:
    """For new connections, as after a failover; the existing connections have ended when it returns."""
    name = make_url(url).database
    change = "RESET default_transaction_read_only"
    if value == "on":
        change = "SET default_transaction_read_only = on"
    admin = url.rpartition("/")[0] + "/postgres"
    postgres.execute(admin, f"ALTER DATABASE {name} {change}")
    if value == "on":
        postgres.execute(
            admin, f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
        )


def test_postgresql_that_was_read_only_is_written_to_again_without_a_restart(
    stores: Stores, postgres: PostgresServer
) -> None:
    url = stores.migrated("postgresql").database_url
    database = Database(url)
    ready = readiness(database)
    assert (outcome(ready)[0], reserve(database)) == ("ok", "ok")
    set_read_only(postgres, url, "on")
    for _ in range(3):  # the pool has several read-only connections
        with database.read() as one, database.read() as another:
            one.exec_driver_sql("SELECT 1")
            another.exec_driver_sql("SELECT 1")
        assert reserve(database) == "store-unavailable"
    code, reason = outcome(ready)
    assert code in ("store-unavailable", "audit-unavailable")
    assert "ReadOnly" in reason
    set_read_only(postgres, url, "off")
    outcomes = [reserve(database) for _ in range(2)]
    assert outcomes[-1] == "ok"
    assert outcome(ready)[0] == "ok"
    database.dispose()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that the test may harm."""
    with RedisServer() as running:
        yield running


def fill(client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")


def unfill(client: redis.Redis) -> None:
    client.config_set("maxmemory", "0")


def forbid_scripts(client: redis.Redis) -> None:
    client.acl_setuser("default", categories=["-@scripting"])


def allow_scripts(client: redis.Redis) -> None:
    client.acl_setuser("default", categories=["+@scripting"])


def make_replica(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "1")


def make_primary(client: redis.Redis) -> None:
    client.replicaof("NO", "ONE")


def test_redis_that_answers_but_does_not_count_is_not_ready_until_it_does(
    make_database: MakeDatabase, own_redis: RedisServer
) -> None:
    url = own_redis.database()
    ready = readiness(make_database(), url)
    assert outcome(ready) == ("ok", "")
    with closing(redis.Redis.from_url(url)) as client:
        for harm, heal in (
            (fill, unfill),
            (forbid_scripts, allow_scripts),
            (make_replica, make_primary),
        ):
            harm(client)
            assert client.ping()
            code, reason = outcome(ready)
            assert (code, reason[:6]) == ("store-unavailable", "rates:"), harm.__name__
            heal(client)
            assert outcome(ready) == ("ok", ""), heal.__name__


def test_redis_counts_go_to_the_new_primary_after_a_failover(
    redis_server: RedisServer, own_redis: RedisServer
) -> None:
    """The clients know one address, which then leads to the new primary. Old connections stay open."""
    with TcpProxy(("127.0.0.1", own_redis.port)) as address:
        storage = redis_storage(address.url.replace("http://", "redis://") + "/0")
        rates = create_rates(surviving_failover(storage))
        rates.spend("1000/second", "failover", "alice")
        with closing(redis.Redis.from_url(own_redis.database())) as client:
            make_replica(client)
        address.lead_to(("127.0.0.1", redis_server.port))
        for _ in range(3):
            rates.spend("1000/second", "failover", "alice")
