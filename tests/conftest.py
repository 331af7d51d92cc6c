"""Fixtures of all tests. People: alice and bob (users), olga (an operator), mallory (a forger)."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpcore2
import pytest
from argon2 import PasswordHasher
from werkzeug.routing import Rule

from broker.identity import passwords
from broker.settings.table import GOOGLE_URL
from broker.standin import StandIn
from tests.support.environment import environment, write_config
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.servers import BrokerServer
from tests.support.stores import Stores

ROOT = Path(__file__).parents[1]
MakeBroker = Callable[..., BrokerServer]
EndBroker = Callable[[BrokerServer], None]


_load_certificates = httpcore2.default_ssl_context


@cache
def _context(trust_env: bool, *_variables: str | None) -> ssl.SSLContext:
    return _load_certificates(_trust_env=trust_env)


def _shared_context(*, _trust_env: bool = True) -> ssl.SSLContext:
    """An HTTP client loads the system's certificates, which takes 50 ms of processor time. Once is enough."""
    return _context(_trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


httpcore2.default_ssl_context = _shared_context

_compile_builder = Rule._compile_builder
_builders: dict[tuple[str, bool], Callable[..., tuple[str, str]]] = {}


def _shared_builder(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    """Werkzeug compiles two functions for each route, which is half of the time that an app takes to make.

    They depend on the path alone, as long as no route has defaults.
    """
    assert not rule.defaults
    key = (rule.rule, append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


Rule._compile_builder = _shared_builder  # type: ignore[assignment, method-assign]
# Full cost is tested in tests/unit/identity/test_passwords.py; a broker on gunicorn always has it.
passwords.use_hasher(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real-api",
        action="store_true",
        help="run the contract tests against Google with the key in GEMINI_API_KEY",
    )
    parser.addoption(
        "--plain-modules",
        action="store_true",
        help="serve the pages as single modules, as a checkout does, and not as the bundle of production",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Makes the pages' bundle, or removes it: the broker serves what is there."""
    if hasattr(config, "workerinput"):  # one of several processes; the first has done it
        return
    if config.getoption("--plain-modules"):
        shutil.rmtree(ROOT / "web/bundle", ignore_errors=True)
    else:
        subprocess.run(["node", ROOT / "scripts/bundle.mjs"], check=True, timeout=60)


# The longest files start first, so that no process is busy with one when the others have finished.
_FIRST = (
    "test_openapi_fuzz.py",
    "test_memory.py",
    "test_faulty_conversation.py",
    "test_readme_runs.py",
    "test_soak.py",
    "test_every_state.py",
    "test_rarer_states.py",
    "test_bare_machine.py",
    "test_dev.py",
    "test_limits_are_exact_on_four_workers.py",
    "test_killed_workers_lose_nothing.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _FIRST.index(item.path.name) if item.path.name in _FIRST else len(_FIRST))


@pytest.fixture(scope="session")
def real_api(pytestconfig: pytest.Config) -> bool:
    """Whether the tests talk to Google."""
    wanted = bool(pytestconfig.getoption("--real-api"))
    if wanted and not os.environ.get("GEMINI_API_KEY"):
        pytest.exit("--real-api needs GEMINI_API_KEY", returncode=2)
    return wanted


@pytest.fixture(scope="session")
def standin() -> Iterator[StandIn]:
    """The local Live API on plain http. It is shared: a test looks at its own connections only."""
    with StandIn(port=0) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server. It is shared: each test creates its own databases."""
    with PostgresServer() as running:
        yield running


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server. It is shared: each test has its own database."""
    with RedisServer() as running:
        yield running


@pytest.fixture(scope="session")
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """stores.migrated("postgresql+redis") creates an unused store of any supported kind."""
    return Stores(
        tmp_path_factory.mktemp("stores"),
        lambda: request.getfixturevalue("postgres"),
        lambda: request.getfixturevalue("redis_server"),
    )


@pytest.fixture(scope="session")
def end_broker() -> Iterator[EndBroker]:
    """Ends a broker in the background, because that takes a second or two."""
    with ThreadPoolExecutor(8) as executor:
        ending: list[Future[None]] = []
        yield lambda server: ending.append(executor.submit(server.close))
        for one in ending:
            one.result()


@contextmanager
def _brokers(folders: pytest.TempPathFactory, end_broker: EndBroker) -> Iterator[MakeBroker]:
    running: list[BrokerServer] = []

    def make(
        live_url: str,
        *,
        rate: str = "1000/minute",
        toml: str = "",
        project_sessions: int = 1000,
        project: str = "",
        warm: int = 0,
        workers: int = 2,
        threads: int = 16,
        env: dict[str, str] | None = None,
        port: int | None = None,
    ) -> BrokerServer:
        folder: Path = folders.mktemp("broker")
        config = write_config(
            folder, rate=rate, more=toml, project_sessions=project_sessions, project=project, warm=warm
        )
        environ = environment(folder, live_url, config=config)
        server = BrokerServer(folder, {**environ, **(env or {})}, workers=workers, threads=threads, port=port)
        server.__enter__()
        running.append(server)
        return server

    yield make
    for server in running:
        end_broker(server)


@pytest.fixture(scope="module")
def make_broker(tmp_path_factory: pytest.TempPathFactory, end_broker: EndBroker) -> Iterator[MakeBroker]:
    """make_broker(live_url, rate="10/minute", workers=4, env={…}) starts a broker for the module."""
    with _brokers(tmp_path_factory, end_broker) as make:
        yield make


@pytest.fixture(scope="session")
def make_shared_broker(
    tmp_path_factory: pytest.TempPathFactory, end_broker: EndBroker
) -> Iterator[MakeBroker]:
    """The same for a broker that serves several modules."""
    with _brokers(tmp_path_factory, end_broker) as make:
        yield make


@pytest.fixture(scope="session")
def broker(standin: StandIn, make_shared_broker: MakeBroker, real_api: bool) -> BrokerServer:
    """A broker on gunicorn with the users alice, bob, demo and olga. It is shared."""
    if real_api:
        server = make_shared_broker(GOOGLE_URL, env={"GEMINI_API_KEY": os.environ["GEMINI_API_KEY"]})
    else:
        server = make_shared_broker(standin.url)
    for name in ("alice", "bob", "demo"):
        server.add_user(name)
    server.add_user("olga", roles=["operator"])
    return server


def pytest_report_header(config: pytest.Config) -> str:
    return f"upstream: {'Google' if config.getoption('--real-api') else 'the stand-in'}"
