"""The database and Redis fail in every way: no token, not ready, alive, nothing charged, healed alone.

One worker on gunicorn over PostgreSQL and Redis, and one over SQLite. Each fault is done to a real server.
"""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest
import redis

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.faults.caller import DEADLINE_SECONDS, Caller
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.stores import Stores

STORE, AUDIT = (503, "store-unavailable"), (503, "audit-unavailable")


@dataclass
class Stack:
    """A broker and the servers under it, which only these tests use."""

    postgres: PostgresServer
    counters: RedisServer
    url: str
    redis_url: str
    caller: Caller
    held: ExitStack = field(default_factory=ExitStack)
    """What a fault holds until its end."""

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def sql(self, *statements: str) -> None:
        for statement in statements:
            self.postgres.execute(self.url, statement)

    def sql_elsewhere(self, *statements: str) -> None:
        """In another database, for statements about this one."""
        for statement in statements:
            self.postgres.execute(
                self.url.rpartition("/")[0] + "/postgres", statement.replace("NAME", self.name)
            )

    def in_redis(self, act: Callable[[redis.Redis], object]) -> None:
        with closing(redis.Redis.from_url(self.redis_url)) as client:
            act(client)


@pytest.fixture(scope="module")
def google() -> Iterator[StandIn]:
    with StandIn(port=0) as running:
        yield running


@pytest.fixture(scope="module")
def stack(google: StandIn, make_broker: MakeBroker) -> Iterator[Stack]:
    # A file of the write-ahead log has this size.
    limited = ("prlimit", f"--fsize={16 << 20}")
    with PostgresServer(limited) as postgres, RedisServer() as counters:
        url, redis_url = postgres.migrated(), counters.database()
        env = {"BROKER_DATABASE_URL": url, "BROKER_REDIS_URL": redis_url}
        with closing(make_broker(google.url, workers=1, env=env)) as broker:
            yield Stack(postgres, counters, url, redis_url, Caller(broker, "alice"))


END_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'NAME'"


def lock_a_table(stack: Stack) -> None:
    holder = stack.held.enter_context(psycopg.connect(stack.url.replace("+psycopg", "")))
    holder.execute("LOCK TABLE sessions")
    stack.held.callback(holder.rollback)


def fill_the_disk(stack: Stack) -> None:
    """The audit trail takes all the space that a file of this server may have."""
    row = "SELECT clock_timestamp(), 'tests', 'fill', 'ok', '{}' FROM generate_series(1, 300000)"
    with pytest.raises(psycopg.Error, match="extend"):
        stack.sql(f"INSERT INTO audit (at, actor, action, outcome, detail) {row}")


def limit_files(held: ExitStack, pid: int, size: int) -> None:
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    held.callback(resource.prlimit, pid, resource.RLIMIT_FSIZE, before)


def release(stack: Stack) -> None:
    stack.held.close()


def scripting(sign: str) -> Callable[[Stack], object]:
    # Not acl_setuser, which also takes the user's access to the server.
    rule = ("ACL SETUSER", "default", f"{sign}@scripting")
    return lambda stack: stack.in_redis(lambda client: client.execute_command(*rule))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Fault:
    begin: Callable[[Stack], object]
    end: Callable[[Stack], object]
    answer: tuple[int, str] = STORE


REFUSE_ROWS = (
    "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'",
    "CREATE TRIGGER no BEFORE INSERT ON audit EXECUTE FUNCTION no()",
)
FAULTS = {
    "database: stopped": Fault(lambda s: s.postgres.stop(), lambda s: s.postgres.start()),
    "database: silent": Fault(lambda s: s.postgres.freeze(), lambda s: s.postgres.thaw()),
    "database: closed to everyone": Fault(
        lambda s: s.sql_elsewhere("ALTER DATABASE NAME ALLOW_CONNECTIONS false", END_CONNECTIONS),
        lambda s: s.sql_elsewhere("ALTER DATABASE NAME ALLOW_CONNECTIONS true"),
    ),
    "database: read-only": Fault(
        lambda s: s.sql_elsewhere(
            "ALTER DATABASE NAME SET default_transaction_read_only = on", END_CONNECTIONS
        ),
        lambda s: s.sql_elsewhere("ALTER DATABASE NAME RESET default_transaction_read_only"),
    ),
    "database: table locked": Fault(lock_a_table, release),
    "database: schema newer": Fault(
        lambda s: s.sql("ALTER TABLE alembic_version RENAME TO kept"),
        lambda s: s.sql("ALTER TABLE kept RENAME TO alembic_version"),
    ),
    "database: audit refuses": Fault(
        lambda s: s.sql(*REFUSE_ROWS), lambda s: s.sql("DROP FUNCTION no CASCADE"), AUDIT
    ),
    "database: disk full": Fault(fill_the_disk, lambda s: s.sql("VACUUM audit"), AUDIT),
    "redis: stopped": Fault(lambda s: s.counters.stop(), lambda s: s.counters.start()),
    "redis: silent": Fault(lambda s: s.counters.freeze(), lambda s: s.counters.thaw()),
    "redis: full": Fault(
        lambda s: s.in_redis(lambda r: r.config_set("maxmemory", "1")),
        lambda s: s.in_redis(lambda r: r.config_set("maxmemory", "0")),
    ),
    "redis: read-only": Fault(
        lambda s: s.in_redis(lambda r: r.replicaof("127.0.0.1", "1")),
        lambda s: s.in_redis(lambda r: r.replicaof("NO", "ONE")),
    ),
    "redis: without scripts": Fault(scripting("-"), scripting("+")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_no_token_without_the_store_and_it_heals_alone(stack: Stack, name: str) -> None:
    fault, caller = FAULTS[name], stack.caller
    fault.begin(stack)
    try:
        # Only a file that has room left takes a few more rows.
        seen = caller.mint_until(fault.answer[1]) if "full" in name else caller.mint()
        assert seen.answer == fault.answer
        assert seen.retry_after is not None
        assert seen.seconds < DEADLINE_SECONDS + caller.patience
        assert caller.alive() == 200
        caller.check_ready(503)
    finally:
        fault.end(stack)
    caller.check_healed()


@pytest.mark.parametrize("server", ["database", "redis"])
def test_lost_connections_are_replaced(stack: Stack, server: str) -> None:
    if server == "database":
        stack.sql_elsewhere(END_CONNECTIONS)
    else:
        stack.in_redis(lambda client: client.client_kill_filter(_type="normal", skipme=True))
    assert stack.caller.mint().answer == (200, "ok")
    stack.caller.check_healed()


def test_stores_that_start_after_the_broker(stack: Stack) -> None:
    broker = stack.caller.broker
    broker.close()
    stack.postgres.stop()
    stack.counters.stop()
    try:
        broker.start(answers_at="/healthz")
        assert stack.caller.mint().answer == STORE
        stack.caller.check_ready(503)
    finally:
        stack.postgres.start()
        stack.counters.start()
    stack.caller.check_healed()


@pytest.mark.parametrize(
    "name",
    [
        "database: stopped",
        "database: read-only",
        pytest.param("database: silent", marks=pytest.mark.long),
    ],
)
def test_database_that_is_lost_during_a_mint_leaves_one_reservation_at_most(
    google: StandIn, make_broker: MakeBroker, stack: Stack, name: str
) -> None:
    """The token is not delivered. Its place becomes free when nobody could connect with it any more."""
    caller = Caller(stack.caller.broker, f"lost-{name.rpartition(' ')[2]}")
    seen = during_a_mint(google, caller, lambda: FAULTS[name].begin(stack), lambda: FAULTS[name].end(stack))
    assert seen == STORE
    caller.check_healed(in_doubt=1)


@pytest.mark.parametrize("name", ["redis: stopped", "redis: full"])
def test_redis_that_is_lost_during_a_mint_is_not_missed(google: StandIn, stack: Stack, name: str) -> None:
    """The request has been counted already."""
    seen = during_a_mint(
        google, stack.caller, lambda: FAULTS[name].begin(stack), lambda: FAULTS[name].end(stack)
    )
    assert seen == (200, "ok")
    stack.caller.check_healed()


def during_a_mint(
    google: StandIn, caller: Caller, begin: Callable[[], object], end: Callable[[], object]
) -> tuple[int, str]:
    """The answer to a request whose fault begins while Google makes the token."""
    google.control.scenario("mint-slow", seconds=1.5, times=1)
    before = len(google.control.received()["mints"])
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(caller.mint)
        deadline = monotonic() + 30
        while len(google.control.received()["mints"]) == before and monotonic() < deadline:
            sleep(0.02)
        begin()
        try:
            seen = asked.result()
        finally:
            end()
    assert seen.seconds < DEADLINE_SECONDS + caller.patience
    return seen.answer


@pytest.fixture(scope="module")
def on_sqlite(google: StandIn, make_broker: MakeBroker, stores: Stores) -> Caller:
    return Caller(make_broker(google.url, workers=1, env=stores.migrated("sqlite").environ), "alice")


def path_of(caller: Caller) -> Path:
    return Path(str(caller.broker.database.engine.url.database))


def test_sqlite_on_a_full_disk(on_sqlite: Caller) -> None:
    with ExitStack() as held:
        (worker,) = on_sqlite.broker.workers()
        limit_files(held, worker, Path(f"{path_of(on_sqlite)}-wal").stat().st_size)
        seen = on_sqlite.mint_until("store-unavailable")
        assert seen.answer == STORE
        on_sqlite.check_ready(503)
        assert on_sqlite.alive() == 200
    on_sqlite.check_healed()


def test_sqlite_that_another_process_locks(on_sqlite: Caller) -> None:
    with closing(sqlite3.connect(path_of(on_sqlite), isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        seen = on_sqlite.mint()
        assert seen.answer == STORE
        assert seen.seconds < DEADLINE_SECONDS + on_sqlite.patience
        on_sqlite.check_ready(503)
        assert on_sqlite.alive() == 200
        holder.rollback()
    on_sqlite.check_healed()


@pytest.mark.long
def test_requests_that_wait_for_a_silent_store_do_not_add_up(stack: Stack) -> None:
    caller = stack.caller
    stack.postgres.freeze()
    try:
        with ThreadPoolExecutor(32) as threads:
            asked = [threads.submit(caller.mint) for _ in range(32)]
            sleep(0.2)
            assert caller.alive() == 200
            seen = [one.result() for one in asked]
    finally:
        stack.postgres.thaw()
    assert {one.code for one in seen} <= {"store-unavailable", "busy"}
    assert max(one.seconds for one in seen) < 2 * DEADLINE_SECONDS + caller.patience
    caller.check_healed()
