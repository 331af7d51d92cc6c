"""The store on each database that it supports, and the rates on each storage."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask import Flask

from broker.limits.limiter import Rates, create_limiter
from broker.store import migrate
from broker.store.engine import Database
from tests.support.servers import free_port


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server of our own on a free port, without persistence."""
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with redis.Redis.from_url(url) as probe:
            for _ in range(200):
                try:
                    probe.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/store.sqlite3", pool_size=20)
    migrate.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture(params=["sql", "redis"])
def rates(request: pytest.FixtureRequest, database: Database) -> Rates:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    return Rates(create_limiter(Flask("rates"), database, url))
