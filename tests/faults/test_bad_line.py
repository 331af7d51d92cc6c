"""A slow or dead line between the broker and its stores: answers within the deadline, and healed alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.faults.caller import DEADLINE_SECONDS, Caller
from tests.support.bad_line import BadLine
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.stores import Stores

STORE = (503, "store-unavailable")


@dataclass
class Lines:
    database: BadLine
    redis: BadLine
    caller: Caller


@pytest.fixture(scope="module")
def lines(
    standin: StandIn,
    make_broker: MakeBroker,
    stores: Stores,
    postgres: PostgresServer,
    redis_server: RedisServer,
) -> Iterator[Lines]:
    store = stores.migrated("postgresql+redis")
    with BadLine(postgres.port) as database, BadLine(redis_server.port) as redis:
        env = {
            "BROKER_DATABASE_URL": store.database_url.replace(str(postgres.port), str(database.port)),
            "BROKER_REDIS_URL": str(store.redis_url).replace(str(redis_server.port), str(redis.port)),
        }
        with closing(make_broker(standin.url, workers=1, env=env)) as broker:
            yield Lines(database, redis, Caller(broker, "alice"))


@pytest.mark.parametrize(
    "seconds", [pytest.param(0.03, id="30 ms"), pytest.param(0.15, id="150 ms", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("line", ["database", "redis"])
def test_latency_of_each_packet_delays_tokens_and_refuses_none(
    lines: Lines, line: str, seconds: float
) -> None:
    slow: BadLine = getattr(lines, line)
    slow.delay_seconds = seconds
    try:
        seen = lines.caller.mint()
        lines.caller.check_ready(200)
    finally:
        slow.delay_seconds = 0
    assert seen.answer == (200, "ok")
    assert seen.seconds < DEADLINE_SECONDS + lines.caller.patience
    lines.caller.check_healed()


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        pytest.param("redis", 1, id="redis for a second"),
        pytest.param("redis", 15, marks=pytest.mark.long, id="redis for 15 s"),
        pytest.param("database", 15, marks=pytest.mark.long, id="database for 15 s"),
    ],
)
def test_black_hole_is_survived(lines: Lines, line: str, seconds: float) -> None:
    hole: BadLine = getattr(lines, line)
    hole.swallow()
    ends = time.monotonic() + seconds
    try:
        first = lines.caller.mint()
        assert first.answer == STORE
        assert first.seconds < DEADLINE_SECONDS + lines.caller.patience
        assert lines.caller.alive() == 200
        lines.caller.check_ready(503)
        while time.monotonic() < ends:
            assert lines.caller.mint().answer == STORE
    finally:
        hole.recover()
    lines.caller.check_healed()
