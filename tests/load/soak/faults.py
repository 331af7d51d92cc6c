"""Faults: what breaks during a soak, one thing at a time, and how long everything needs to work again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from threading import Event
from typing import Any

from tests.load.soak.journal import Journal
from tests.load.soak.site import Site
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.slow_clients import held

HEALED_SECONDS = 60
_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
Fault = Callable[[], AbstractContextManager[None]]


class Faults:
    """One thread. Workers are killed at the first broker only, so that those of the second one grow old."""

    def __init__(self, journal: Journal, site: Site, stop: Event) -> None:
        self.journal, self.site, self._stop = journal, site, stop
        scenario = self._scenario
        self._all: dict[str, Fault] = {
            "worker killed": self._worker_killed,
            "SIGHUP": self._reloaded,
            "Redis restarted": self._redis_restarted,
            "Redis full": self._redis_full,
            "Redis hangs": partial(self._hangs, self.site.redis),
            "PostgreSQL's connections ended": self._connections_ended,
            "PostgreSQL restarted": self._postgres_restarted,
            "PostgreSQL hangs": partial(self._hangs, self.site.postgres),
            "PostgreSQL read-only": self._read_only,
            "Google is slow": partial(scenario, "mint-slow", seconds=2.0),
            "Google hangs": partial(scenario, "mint-hang", seconds=600.0, times=12),
            "Google answers 429": partial(scenario, "mint-status", status=429),
            "Google answers 500": partial(scenario, "mint-status", status=500),
            "Google hangs up": partial(scenario, "mint-disconnect"),
            "Google answers without JSON": partial(scenario, "mint-bad-json"),
            "Google answers 8 MB": partial(scenario, "mint-big"),
            "Google drips": partial(scenario, "mint-drip", interval_seconds=0.2),
            "minting suspended": self._suspended,
            "log reader stopped": self._log_reader_stopped,
            "slow sockets": self._slow_sockets,
        }

    def in_turn(self) -> Iterator[str]:
        """All faults in random order, again and again."""
        while True:
            yield from random.sample(list(self._all), len(self._all))

    def play(self, name: str) -> None:
        self.journal.fault_began(name)
        with self._all[name]():
            self._stop.wait(random.uniform(1.5, 3.5))
        self.journal.fault_undone(name)
        self.journal.fault_ended(name, self._healed(name))

    def rotate_secret(self) -> None:
        name = "secret rotated"
        self.journal.fault_began(name)
        self.site.rotate_secret()
        self.journal.fault_ended(name, self._healed(name))

    def _healed(self, name: str) -> float:
        """Seconds until both brokers are ready and someone has got a token."""
        began = time.time()
        while time.time() - began < HEALED_SECONDS:
            if self.journal.last_grant > began and self.site.ready():
                return time.time() - began
            time.sleep(0.1)
        self.journal.violation(f"after {name!r} it did not work again within {HEALED_SECONDS} s")
        return HEALED_SECONDS

    @contextmanager
    def _worker_killed(self) -> Iterator[None]:
        os.kill(random.choice(self.site.brokers[0].workers()), signal.SIGKILL)
        yield

    @contextmanager
    def _reloaded(self) -> Iterator[None]:
        self.site.brokers[0].reload()
        yield

    @contextmanager
    def _redis_restarted(self) -> Iterator[None]:
        began = time.time()
        self.site.redis.stop()
        try:
            yield
        finally:
            self.site.redis.start()
            self.journal.counters_lost(began)

    @contextmanager
    def _redis_full(self) -> Iterator[None]:
        with self.site.counters as connection:
            connection.config_set("maxmemory", "1")
            try:
                yield
            finally:
                connection.config_set("maxmemory", "0")

    @contextmanager
    def _hangs(self, server: PostgresServer | RedisServer) -> Iterator[None]:
        server.freeze()
        try:
            yield
        finally:
            server.thaw()

    @contextmanager
    def _connections_ended(self) -> Iterator[None]:
        self._end_connections()
        yield

    @contextmanager
    def _postgres_restarted(self) -> Iterator[None]:
        self.site.postgres.stop()
        self.site.postgres.start()
        yield

    @contextmanager
    def _read_only(self) -> Iterator[None]:
        server, _, name = self.site.database_url.rpartition("/")
        elsewhere = f"{server}/postgres"
        postgres = self.site.postgres
        postgres.execute(elsewhere, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            self._end_connections()
            yield
        finally:
            postgres.execute(elsewhere, f"ALTER DATABASE {name} RESET ALL")

    @contextmanager
    def _scenario(self, name: str, **options: Any) -> Iterator[None]:
        self.site.standin.control.scenario(name, **options)
        try:
            yield
        finally:
            # It also forgets its tokens, which no one here connects with.
            self.site.standin.control.reset()

    @contextmanager
    def _suspended(self) -> Iterator[None]:
        broker = random.choice(self.site.brokers)
        broker.command("suspend", "--reason", "Soak.", "--renewals")
        began = time.time()
        try:
            yield
        finally:
            self.journal.suspended(began)
            broker.command("resume")

    @contextmanager
    def _log_reader_stopped(self) -> Iterator[None]:
        pipe = random.choice(self.site.logs)
        pipe.reading.clear()
        try:
            yield
        finally:
            pipe.reading.set()

    @contextmanager
    def _slow_sockets(self) -> Iterator[None]:
        with ExitStack() as stack:
            for broker in self.site.brokers:
                with suppress(OSError):
                    counts = {"silent": 20, "half_a_head": 10, "stalled_body": 10, "never_closes": 10}
                    stack.enter_context(held(broker.port, never_reads=5, **counts))
            yield

    def _end_connections(self) -> None:
        self.site.postgres.execute(self.site.database_url, _TERMINATE)
