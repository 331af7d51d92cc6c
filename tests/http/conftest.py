"""The app in this process, with a real store and the real stand-in behind it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from broker.app import create_app
from broker.http.credentials import CSRF_HEADER
from broker.operators.blocks import BlockAdmin
from broker.operators.users import UserAdmin
from broker.parts import parts_of
from broker.settings import load
from broker.standin import StandIn
from broker.store.accounts.users import SqlUsers
from broker.store.database import migrate
from broker.store.database.engine import Clock, Database
from broker.store.database.tables import audit
from broker.telemetry import repeats
from tests.http.admin import OperatorClient
from tests.support.environment import environment, write_config
from tests.support.servers import PASSWORD
from tests.support.stores import DATABASES, Stores

MakeApp = Callable[..., Flask]
ORIGIN = "http://localhost"


@pytest.fixture(scope="session")
def database_with_users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the schema and the users alice, bob and olga. Each app gets a copy."""
    folder = tmp_path_factory.mktemp("template")
    environ = environment(folder, "http://127.0.0.1:9")
    settings = load(environ)
    database = Database(settings.database_url.get_secret_value())
    migrate.upgrade(database)
    users = UserAdmin(settings, database, actor="tests")
    users.add("alice", PASSWORD)
    users.add("bob", PASSWORD)
    users.add("olga", PASSWORD, roles=["operator"])
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    return Path(str(database.engine.url.database))


@pytest.fixture
def make_app(tmp_path: Path, standin: StandIn, database_with_users: Path) -> Iterator[MakeApp]:
    """make_app(rate="3/minute", live_url=…, env={…}) makes an app with alice, bob and olga, an operator."""
    apps: list[Flask] = []

    def make(
        *,
        rate: str = "1000/minute",
        toml: str = "",
        project_sessions: int = 1000,
        project: str = "",
        warm: int = 0,
        profile: str = "",
        live_url: str | None = None,
        env: dict[str, str] | None = None,
        clock: Clock | None = None,
    ) -> Flask:
        config = write_config(
            tmp_path,
            rate=rate,
            more=toml,
            project_sessions=project_sessions,
            project=project,
            warm=warm,
            profile=profile,
        )
        environ = environment(tmp_path, live_url or standin.url, config=config)
        settings = load({**environ, **(env or {})})
        shutil.copy(database_with_users, environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///"))
        app = create_app(settings, clock=clock)
        apps.append(app)
        return app

    yield make
    for app in apps:
        parts_of(app).database.dispose()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


@pytest.fixture(params=DATABASES)
def olga(
    request: pytest.FixtureRequest, make_app: MakeApp, stores: Stores, database_with_users: Path
) -> OperatorClient:
    """olga calls the admin API, on each kind of database."""
    if request.param == "sqlite":
        return OperatorClient.of(make_app())
    app = make_app(env=stores.migrated(request.param).environ)
    add_users(app, database_with_users)
    return OperatorClient.of(app)


def add_users(app: Flask, database_with_users: Path) -> None:
    """The users of the file, in the app's own database."""
    template = Database(f"sqlite:///{database_with_users}", pool_size=1)
    for user in SqlUsers(template).all():
        SqlUsers(parts_of(app).database).add(user, actor="tests")
    template.dispose()


def count_audited(app: Flask, **where: str) -> int:
    """How often the audit trail says that this happened, with what is still to be written."""
    repeats.write_all()
    query = select(func.coalesce(func.sum(audit.c.times), 0)).filter_by(**where)
    with parts_of(app).database.read() as connection:
        return int(connection.execute(query).scalar_one())


def bearer(app: Flask, username: str = "alice") -> dict[str, str]:
    """Returns the headers of a caller with one of our bearer tokens."""
    parts = parts_of(app)
    token = UserAdmin(parts.settings, parts.database, actor="tests").access_token(username)
    return {"Authorization": f"Bearer {token}"}


def user_admin(app: Flask) -> UserAdmin:
    """Acts as the command line does, on the app's own store."""
    parts = parts_of(app)
    return UserAdmin(parts.settings, parts.database, actor="cli:olga")


def block_admin(app: Flask) -> BlockAdmin:
    parts = parts_of(app)
    return BlockAdmin(parts.settings, parts.database, actor="cli:olga")


@pytest.fixture
def alice(app: Flask) -> dict[str, str]:
    return bearer(app)


@pytest.fixture
def page(app: Flask) -> tuple[FlaskClient, dict[str, str]]:
    """A browser that is signed in as alice, and the headers that our page adds."""
    browser = app.test_client()
    answer = browser.post("/auth/login", json={"username": "alice", "password": PASSWORD})
    assert answer.status_code == 200
    csrf: str = answer.get_json()["csrf_token"]
    return browser, {CSRF_HEADER: csrf, "Origin": ORIGIN}
