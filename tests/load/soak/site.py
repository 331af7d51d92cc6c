"""Site: the servers of a soak: PostgreSQL, Redis, the stand-in and two brokers that share their stores.

Each broker writes its log into a pipe, as in production, and a thread here reads it into a file.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import redis

from broker.standin import StandIn
from tests.load.soak.journal import Limits
from tests.support.environment import environment, write_config
from tests.support.postgres import PostgresServer
from tests.support.process import responds
from tests.support.redis import RedisServer
from tests.support.servers import BrokerServer
from tests.support.stores import Stores

WORKERS, THREADS = 2, 16
PROJECT_SESSIONS = 80
# A vanished session keeps its place until 30 s after its join window: 45 s.
SLICE_SECONDS, CONNECT_SECONDS = 30, 15
PLANS = {
    "default": Limits(1000, (600, 60), 10000),
    "steady": Limits(3, (20, 60), 10000),
    "fast": Limits(1000, (10, 60), 10000),
    "few-minutes": Limits(2, (600, 60), 8),
    "backend": Limits(14, (6000, 60), 100000),
    "guests": Limits(2, (30, 60), 100),
}
_GUESTS = """
[guests]
enabled = true
plan = "guests"
address_rate = "100000/hour"
allow_network = true
"""


class LogPipe:
    """Reads what a broker writes to the FIFO at `path`, and keeps it in the file `kept`."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        self.kept = path.with_suffix(".lines")
        self.reading = threading.Event()
        self.reading.set()
        self._closing = threading.Event()
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        os.close(self._pipe)

    def _read(self) -> None:
        with self.kept.open("ab") as file:
            while True:
                self.reading.wait()
                try:
                    data = os.read(self._pipe, 65536)
                except BlockingIOError:
                    data = b""
                if data:
                    file.write(data)
                    file.flush()
                elif self._closing.is_set():
                    return
                else:
                    time.sleep(0.02)


class Site:
    """Use as a context manager. `close_brokers` ends the brokers and leaves the stores."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = PostgresServer()
        self.redis = RedisServer()
        self.standin = StandIn(port=0)
        self.secrets: list[str] = []
        self.brokers: list[BrokerServer] = []
        self.logs: list[LogPipe] = []
        self.exit_codes: list[int] = []
        self._files = (folder / "secret", folder / "previous-secret")
        self._running = ExitStack()
        self._brokers_running = ExitStack()

    def __enter__(self) -> Self:
        for part in (self.postgres, self.redis, self.standin):
            self._running.enter_context(part)
        store = Stores(self.folder, lambda: self.postgres, lambda: self.redis).migrated("postgresql+redis")
        assert store.redis_url is not None
        self.database_url, self.redis_url = store.database_url, store.redis_url
        self._write_secrets(secrets.token_urlsafe(48), secrets.token_urlsafe(48))
        environ = environment(self.folder, self.standin.url, config=self._config(), **store.environ)
        del environ["BROKER_SECRET_KEY"]
        self.secrets.append(environ["GEMINI_API_KEY"])
        for name, file in zip(("", "_PREVIOUS"), self._files, strict=True):
            environ[f"BROKER_SECRET_KEY{name}_FILE"] = str(file)
        environ["BROKER_TRUSTED_PROXIES"] = "127.0.0.1"
        for _ in range(2):
            broker = BrokerServer(self.folder, environ, workers=WORKERS, threads=THREADS)
            self.logs.append(LogPipe(self.folder / f"broker-{broker.port}.log"))
            self.brokers.append(self._brokers_running.enter_context(broker))
        return self

    def __exit__(self, *_: object) -> None:
        self._brokers_running.close()
        for pipe in self.logs:
            pipe.reading.set()
            pipe.close()
        self._running.close()

    @property
    def urls(self) -> list[str]:
        return [broker.url for broker in self.brokers]

    @property
    def counters(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def ready(self) -> bool:
        return all(responds(f"{url}/readyz") for url in self.urls)

    def master(self, broker: BrokerServer) -> int:
        """The process id of a broker's gunicorn."""
        status = Path(f"/proc/{broker.workers()[0]}/status").read_text()
        return int(status.split("PPid:")[1].split()[0])

    def rotate_secret(self) -> None:
        """As the page for operators says for several hosts: first known to all as the previous one."""
        current, _ = (file.read_text() for file in self._files)
        new = secrets.token_urlsafe(48)
        for first, second in ((current, new), (new, current)):
            self._write_secrets(first, second)
            self._reload()

    def _reload(self) -> None:
        """Returns when every worker has been replaced."""
        old = {pid for broker in self.brokers for pid in broker.workers()}
        for broker in self.brokers:
            broker.reload()
        until = time.monotonic() + 60
        while old & {pid for broker in self.brokers for pid in broker.workers()}:
            if time.monotonic() > until:
                raise TimeoutError("the workers were not replaced after SIGHUP")
            time.sleep(0.1)

    def stop_brokers(self) -> None:
        """SIGTERM; `exit_codes` has the results."""
        for broker in self.brokers:
            broker.terminate()
        self.exit_codes = [broker.exit_code() for broker in self.brokers]

    def _write_secrets(self, current: str, previous: str) -> None:
        self.secrets += [current, previous]
        for file, text in zip(self._files, (current, previous), strict=True):
            file.touch(0o600)
            file.write_text(text)

    def _config(self) -> Path:
        rows = []
        for name, plan in PLANS.items():
            if name == "default":
                continue
            requests, seconds = plan.rate
            assert seconds == 60
            rows.append(
                f'\n[plans.{name}]\nrate = "{requests}/minute"\nsessions = {plan.sessions}\n'
                f"minutes_per_day = {plan.minutes_per_day}\nsession_minutes = 2\n"
            )
        path = write_config(
            self.folder, rate="600/minute", more="".join(rows), project_sessions=PROJECT_SESSIONS
        )
        text = path.read_text()
        for name, seconds in (("slice_seconds", SLICE_SECONDS), ("connect_within_seconds", CONNECT_SECONDS)):
            line = next(line for line in text.splitlines() if line.startswith(f"# {name} = "))
            text = text.replace(line, f"{name} = {seconds}", 1)
        path.write_text(text + _GUESTS)
        return path
