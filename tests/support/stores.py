"""Stores: new databases and counters for a test, of each kind that the broker supports."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from broker.store.database import migrate
from broker.store.database.engine import Database
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

DATABASES = ("sqlite", "postgresql")
STORES = (*DATABASES, "postgresql+redis")


@dataclass(frozen=True)
class Store:
    """The database and the counters of one broker, or of several that share them."""

    database_url: str
    redis_url: str | None = None

    @property
    def environ(self) -> dict[str, str]:
        environ = {"BROKER_DATABASE_URL": self.database_url}
        return environ if self.redis_url is None else {**environ, "BROKER_REDIS_URL": self.redis_url}


class Stores:
    """Creates stores. A server starts when a test asks for the first store of its kind."""

    def __init__(
        self, folder: Path, postgres: Callable[[], PostgresServer], redis: Callable[[], RedisServer]
    ) -> None:
        self._folder = folder
        self._postgres = postgres
        self._redis = redis
        self._template: Path | None = None

    def empty(self, kind: str) -> Store:
        """Without a schema."""
        return self._store(kind, lambda: self._postgres().empty(), self._new_file)

    def migrated(self, kind: str) -> Store:
        return self._store(kind, lambda: self._postgres().migrated(), self._copied_file)

    def _store(self, kind: str, on_server: Callable[[], str], in_file: Callable[[], str]) -> Store:
        database, _, counters = kind.partition("+")
        return Store(
            in_file() if database == "sqlite" else on_server(),
            self._redis().database() if counters else None,
        )

    def _new_file(self) -> str:
        return f"sqlite:///{self._folder}/{secrets.token_hex(6)}.sqlite3"

    def _copied_file(self) -> str:
        if self._template is None:
            self._template = self._folder / "template.sqlite3"
            database = Database(f"sqlite:///{self._template}", pool_size=1)
            migrate.upgrade(database)
            with database.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            database.dispose()
        url = self._new_file()
        shutil.copy(self._template, url.removeprefix("sqlite:///"))
        return url
