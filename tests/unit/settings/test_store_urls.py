"""Addresses of stores: read as the driver reads them, or rejected at start without showing the password."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from broker.settings import SettingsError, load, variables
from broker.settings.store_urls import database_url, password_of, redis_url, shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h1:5433,h2:5434/db?target_session_attrs=read-write",
        "postgres://u:p@h1,h2:5434/db",
        "postgresql://u:p%40%2F@h1,h2,h3/db?sslmode=require",
        "postgresql://u:p@/db?host=h1,h2&port=5433,5434",
        "postgresql://u@[::1]:5433,[::2]:5434/db",
        "postgresql:///db?host=/var/run/postgresql&user=u",
        "postgresql://u:p@h/db?connect_timeout=2&options=-c%20lock_timeout%3D1000",
        "postgresql://u:pa#ss@h/db",
        "postgresql://u:p@h:5433/d%20b",
    ],
)
def test_postgresql_url_means_what_libpq_says(url: str) -> None:
    assert without_default_ports(options(url)) == without_default_ports(conninfo_to_dict(url))


def options(url: str) -> dict[str, Any]:
    """What SQLAlchemy passes to the driver."""
    dialect: Any = PGDialect_psycopg  # it has no types
    return dict(dialect().create_connect_args(make_url(database_url(url)))[1])


def without_default_ports(found: dict[str, Any]) -> dict[str, str]:
    """`,` and `,,` are several default ports."""
    return {name: str(value) for name, value in found.items() if str(value).strip(",")}


def test_one_port_for_several_hosts_is_the_port_of_each() -> None:
    given = options("postgresql:///db?host=a,b&port=5433")
    assert (given["host"], given["port"]) == ("a,b", "5433,5433")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:p@h/db?pgbouncer=true", "'pgbouncer', which PostgreSQL does not know"),
        ("postgresql://u:p@h/db?ssl=true", "sslmode=require"),
        ("postgresql://u:p@h/db?sslmode=on", "'sslmode', with a value"),
        ("postgresql://u:p@h1,h2/db?target_session_attrs=writable", "'target_session_attrs', with a value"),
        ("postgresql://u:p@h/db?connect_timeout=soon", "'connect_timeout' without a whole number"),
        ("postgresql://u:p@h/db?schema=public", "'schema'"),
        ("postgresql://u:p@/db?host=h1,h2,h3&port=1,2", "3 hosts and 2 ports"),
        ("postgresql://u:p@h:99999/db", "port"),
        ("postgresql://u:p@h:port/db", "port"),
        ("postgresql://u:p@h/db%zz", "malformed"),
        ("postgresql:///db", "no host"),
        ("sqlite:///x.db?timeout=soon", "parameters"),
        ("sqlite:///x.db?mode=ro", "parameters"),
        ("sqlite://x.db", "sqlite:///path"),
        ("sqlite:///file:x.db", "sqlite:///path"),
    ],
)
def test_what_the_driver_would_refuse_later_is_a_fault(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        database_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h?socket_timeout=abc",
        "redis://h?retries=3",
        "redis://h/zero",
        "redis://h:99999",
        "rediss://h?ssl_cert_reqs=maybe",
        "redis://h/0?db=x",
        "redis://h/0/1",
        "unix:///run/redis.sock?db=x",
    ],
)
def test_redis_url_that_cannot_work_is_a_fault(url: str) -> None:
    with pytest.raises(ValueError, match=r"parameter|malformed|number of a database"):
        redis_url(url)


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://:p@h:6380/3", "rediss://u:p@h/0?ssl_cert_reqs=none&socket_timeout=1", "redis://h/",
     "unix://:p@/run/redis.sock?db=3", "redis://:first@rest@h"],
)  # fmt: skip
def test_redis_url_that_works_is_kept(url: str) -> None:
    assert redis_url(url) == url


@pytest.mark.parametrize("parse", [database_url, redis_url])
@pytest.mark.parametrize(
    "rest",
    ["u:first@REST/x@h/0", "u:fi/RST@h/0", "u:fi?RST@h/0", "u:fi?RST=1@h/0", "u:fi/RST?RST@h"],
)
def test_raw_at_in_a_password_is_rejected_without_quoting_it(parse: object, rest: str) -> None:
    scheme = "postgres" if parse is database_url else "redis"
    with pytest.raises(ValueError, match="%40") as raised:
        parse(f"{scheme}://{rest}")  # type: ignore[operator]
    assert "RST" not in str(raised.value)
    assert "REST" not in str(raised.value)


def test_second_at_of_a_postgresql_url_is_rejected() -> None:
    """libpq takes the first "@" as the end of the password, and would look up REST@host."""
    with pytest.raises(ValueError, match="%40"):
        database_url("postgres://u:first@REST@host/db")


@pytest.mark.parametrize("path", ["/tmp/a%2Fb/x.db", "/tmp/a b ü/100%.db", "var/x%20y.db", "/tmp/a@b:c#d.db"])
def test_path_of_sqlite_is_meant_as_it_is_written(path: str) -> None:
    assert make_url(database_url(f"sqlite:///{path}")).database == path


def test_password_of_a_url_is_found_in_each_form() -> None:
    assert password_of("redis://:first@REST@h/0") == {"first@REST"}
    assert password_of("postgresql+psycopg://u:a%40b@/db?host=h1,h2") == {"a%40b", "a@b"}
    assert password_of("postgresql:///db?host=h&password=secret-word") == {"secret-word"}
    assert password_of("sqlite:////var/x.db") == set()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (database_url("sqlite:////tmp/a%2Fb.sqlite3"), "/tmp/a%2Fb.sqlite3"),
        (database_url("sqlite:///var/x.sqlite3"), "var/x.sqlite3"),
        (database_url("postgres://me:hunter2@db:5432/x?password=hunter2"), "postgresql://db:5432/x"),
        (database_url("postgresql://me:hunter2@h1,h2:5434/x"), "postgresql://h1,h2/x"),
        (redis_url("rediss://:hunter2@cache:6380/3?socket_timeout=1"), "rediss://cache:6380/3"),
        (redis_url("unix:///run/redis.sock?db=2&password=hunter2"), "unix:///run/redis.sock"),
    ],
)
def test_address_is_shown_without_secrets(url: str, expected: str) -> None:
    assert shown(url) == expected


SECRETS = {"GEMINI_API_KEY": "AQ.test-0123456789", "BROKER_SECRET_KEY": secrets.token_hex(32)}


def test_a_look_into_the_database_does_not_read_the_document(tmp_path: Path) -> None:
    environ = {**SECRETS, "DATABASE_URL": "postgres://h/d", "BROKER_CONFIG": str(tmp_path / "missing")}
    assert variables.database_url(environ).startswith("postgresql+psycopg://h/d")
    assert variables.database_url(SECRETS) == "sqlite:///var/broker.sqlite3"


@pytest.mark.parametrize(
    "environ",
    [
        {"BROKER_DATABASE_URLS": "sqlite:///other.db"},
        {"BROKER_DATABSE_URL": "sqlite:///other.db", "BROKER_DATABASE_URL": "sqlite:///one.db"},
        {"BROKER_DATABASE_URL": "mysql://h/d"},
        {"BROKER_DATABASE_URL": "sqlite:///:memory:"},
        {"BROKER_DATABASE_URL": "sqlite:///one.db", "BROKER_DATABASE_URL_FILE": "/run/secrets/url"},
        {"BROKER_SECRET_KEY": "short"},
        {"BROKER_SECRET_KEY": SECRETS["GEMINI_API_KEY"] * 3, "GEMINI_API_KEY": SECRETS["GEMINI_API_KEY"] * 3},
        {"GOOGLE_GENAI_USE_VERTEXAI": "1"},
    ],
)
def test_a_look_into_the_database_refuses_what_a_start_refuses(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as looked:
        variables.database_url({**SECRETS, **environ})
    with pytest.raises(SettingsError) as started:
        load({**SECRETS, **environ})
    assert looked.value.faults == started.value.faults
