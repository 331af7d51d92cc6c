"""Stage: every process of a benchmark. With two cores or more, the services have the first to themselves.

The callers, the double and the database servers share the second one, so that the processor time of a
service is that of the service. The database servers wait for the disk as in production.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import httpx2

from tests.load.bench.callers import Load, Result
from tests.load.bench.cost import tree
from tests.load.bench.stock import bearers, stock
from tests.support.environment import environment, write_config
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.process import Process
from tests.support.redis import RedisServer
from tests.support.servers import BrokerServer
from tests.support.stores import Stores

# Two processes for one core, as the broker's default has it; the threads are enough for every load but 256.
WORKERS, THREADS = 2, 64
PEERS = {
    "client per request": "flask_client_per_request",
    "shared client": "flask_shared_client",
    "FastAPI": "fastapi_async_client",
    "floor": "aiohttp_floor",
}
# Making a client takes a tenth of a second of processor time, so 256 callers would wait for half a minute.
_MOST_CALLERS = {"client per request": 32}
_MANY = 1_000_000
_MINT = {
    "uses": 1, "expireTime": "2030-01-01T00:15:00Z", "newSessionExpireTime": "2030-01-01T00:02:00Z",
    "bidiGenerateContentSetup": {"model": "models/gemini-3.8-live"},
}  # fmt: skip


@dataclass(frozen=True)
class Service:
    """`server`: the broker, if it is one. `most_callers`: loads of more are left out."""

    name: str
    port: int
    requests: list[tuple[str, str]]
    pid: int
    open_sessions: int = 0
    body: str = "{}"
    headers: str = ""
    most_callers: int = 256
    server: BrokerServer | None = None
    database_pids: Callable[[], list[int]] = field(default=list)

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.open_sessions

    @property
    def pids(self) -> list[int]:
        return tree(self.pid)


class Stage:
    """Use as a context manager."""

    def __init__(self, folder: Path, *, callers: int, workers: int = WORKERS, pinned: bool = True) -> None:
        """`callers`: how many users the broker knows; requests come from each in turn.

        Without `pinned`, everything runs on any core, and a broker starts from the tests' fork server.
        """
        self._folder = folder
        self._users = callers
        self._workers = workers
        self._stack = ExitStack()
        self._servers: dict[str, int] = {}
        self._stores = Stores(folder, self._postgres, self._redis)
        cores = sorted(os.sched_getaffinity(0))
        self._first: Sequence[str] = _on(cores[0]) if pinned else ()
        self._second: Sequence[str] = _on(cores[-1]) if pinned else ()

    def __enter__(self) -> Self:
        port = free_port()
        double = self._start(
            [*self._second, sys.executable, "-m", "tests.load.bench.double"], port, {"PORT": str(port)}
        )
        self.upstream = Service(
            "upstream alone", port, [("/v1alpha/auth_tokens", "")], double.pid,
            body=json.dumps(_MINT), headers="x-goog-api-key: key\r\n",
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{port}"
        self.environ = environment(
            self._folder,
            self.url,
            config=self._config(),
            BROKER_LOG_LEVEL="info",
        )
        command = [*self._second, sys.executable, "-m", "tests.load.bench.callers"]
        callers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._callers = self._stack.enter_context(callers)
        self._stack.callback(callers.kill)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def delay(self, seconds: float) -> None:
        """Sets how long the upstream takes for a token."""
        httpx2.post(f"{self.url}/delay", json={"seconds": seconds}, trust_env=False).raise_for_status()

    def load(
        self,
        service: Service,
        callers: int,
        seconds: float,
        settle_seconds: float,
        each_seconds: float = 0.0,
    ) -> Result:
        wanted = Load(
            service.port, callers, seconds, settle_seconds, service.requests, service.body, service.headers,
            each_seconds,
        )  # fmt: skip
        assert self._callers.stdin
        assert self._callers.stdout
        self._callers.stdin.write(json.dumps(asdict(wanted)) + "\n")
        self._callers.stdin.flush()
        line = self._callers.stdout.readline()
        if not line:
            raise RuntimeError(f"the callers of {service.name} got no answer within 30 seconds")
        return Result(**json.loads(line))

    def peer(self, name: str) -> Service:
        module, port = f"tests.load.peers.{PEERS[name]}", free_port()
        command = [*self._first, sys.executable, "-m"]
        if PEERS[name].startswith("flask"):
            command += ["gunicorn", "--worker-class", "gthread", "--workers", str(self._workers)]
            command += ["--threads", str(THREADS), "--bind", f"127.0.0.1:{port}", f"{module}:app"]
        elif name == "FastAPI":
            command += ["uvicorn", "--port", str(port), "--log-level", "warning", "--no-access-log"]
            command += [f"{module}:app"]
        else:
            command += [module]
        process = self._start(command, port, {"PORT": str(port), "UPSTREAM": self.url})
        most = _MOST_CALLERS.get(name, 256)
        return Service(name, port, [("/token", "")], process.pid, most_callers=most)

    def broker(self, kind: str, *, open_sessions: int = 0, warm: int = 0) -> Service:
        """`kind`: one of `tests.support.stores.STORES`. `warm`: that of the profile."""
        server = BrokerServer(
            self._folder,
            {
                **self.environ,
                **self._stores.migrated(kind).environ,
                "BROKER_CONFIG": str(self._config(warm=warm)),
            },
            workers=self._workers,
            threads=THREADS,
            through=self._first,
        )
        stock(server.database, callers=self._users, open_sessions=open_sessions)
        self._stack.enter_context(server)
        requests = [("/token", bearer) for bearer in bearers(server.settings, self._users)]
        return Service(
            f"broker, {kind}{', warm' if warm else ''}", server.port, requests, server.pid, open_sessions,
            server=server, database_pids=lambda: self._database_pids(kind),
        )  # fmt: skip

    def _config(self, *, warm: int = 0) -> Path:
        return write_config(self._folder, rate="1000/minute; 10000/day", project_sessions=_MANY, warm=warm)

    def store(self, kind: str) -> str:
        """The URL of a new database with the schema."""
        return self._stores.migrated(kind).database_url

    def store_environ(self, kind: str) -> Mapping[str, str]:
        return {**self.environ, **self._stores.migrated(kind).environ}

    def _database_pids(self, kind: str) -> list[int]:
        return [pid for name in kind.split("+") if name in self._servers for pid in tree(self._servers[name])]

    def _postgres(self) -> PostgresServer:
        if "postgresql" not in self._servers:
            self._postgres_server = self._stack.enter_context(PostgresServer(self._second, durable=True))
            self._servers["postgresql"] = self._postgres_server.pid
        return self._postgres_server

    def _redis(self) -> RedisServer:
        if "redis" not in self._servers:
            self._redis_server = self._stack.enter_context(RedisServer())
            self._servers["redis"] = self._redis_server.pid
        return self._redis_server

    def _start(self, command: Sequence[str], port: int, environ: Mapping[str, str]) -> Process:
        process = Process(
            command,
            log_path=self._folder / f"log-{port}",
            answers=lambda: _listens(port),
            env={**os.environ, **environ},
        )
        self._stack.callback(process.end)
        return process


def _on(core: int) -> Sequence[str]:
    return "taskset", "--cpu-list", str(core)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
