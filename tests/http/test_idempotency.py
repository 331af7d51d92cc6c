"""Idempotency-Key at POST /token: a repeated request gets the same session and is charged once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from broker.operators.limits import LimitAdmin
from broker.parts import parts_of
from broker.standin import StandIn
from broker.store.database.tables import audit
from tests.http.conftest import MakeApp, bearer, block_admin, user_admin
from tests.support.keys import key_headers
from tests.support.redis import RedisServer
from tests.support.stores import STORES, Stores


class Shift:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


def ask(client: FlaskClient, headers: dict[str, str], key: str = "k-1", **body: Any) -> TestResponse:
    return client.post("/token", headers={**headers, "Idempotency-Key": key}, json=body)


def used(client: FlaskClient, headers: dict[str, str]) -> dict[str, Any]:
    """The caller's limits without `reset`, which changes with the time alone."""
    limits: dict[str, Any] = client.get("/me", headers=headers).get_json()["limits"]
    for rate in limits["rate"]:
        del rate["reset"]
    return limits


def code(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json().get("code", "ok")


@pytest.mark.parametrize("kind", STORES)
def test_repeat_gets_the_lost_answer_and_is_not_charged(make_app: MakeApp, stores: Stores, kind: str) -> None:
    app = make_app(env=stores.migrated(kind).environ)
    user_admin(app).add("alice", "correct horse battery")
    client, alice = app.test_client(use_cookies=False), bearer(app)
    first = ask(client, alice, profile="default").get_json()
    again = [ask(client, alice, profile="default").get_json() for _ in range(3)]
    assert {one["session"]["id"] for one in again} == {first["session"]["id"]}
    assert {one["token"] for one in again} == {first["token"]}, "one token: one use at Google"
    for name in ("expires_at", "connect_by", "model", "setup", "locked", "url"):
        assert again[0][name] == first[name]
    assert first["expires_in"] - 10 <= again[0]["expires_in"] <= first["expires_in"]
    assert again[-1]["limits"]["minutes_per_day"] == first["limits"]["minutes_per_day"]
    assert again[-1]["limits"]["sessions"] == {"limit": 1000, "open": 1}
    assert again[-1]["limits"]["rate"][0]["remaining"] == first["limits"]["rate"][0]["remaining"] == 999
    other = ask(client, alice, "k-2", profile="default").get_json()
    assert other["session"]["id"] != first["session"]["id"]


def test_repeat_succeeds_although_every_limit_is_used_up(make_app: MakeApp) -> None:
    """The lost answer used the last request of the rate and the last place."""
    app = make_app(rate="1/hour")
    client, alice = app.test_client(use_cookies=False), bearer(app)
    parts = parts_of(app)
    LimitAdmin(parts.settings, parts.database, actor="tests").set("alice", {"sessions": 1})
    first = ask(client, alice).get_json()
    assert ask(client, alice).get_json()["token"] == first["token"]
    assert code(ask(client, alice, "k-2")) == (429, "rate-limited")


def test_same_key_with_another_body_is_a_conflict(app: Flask, client: FlaskClient) -> None:
    alice = bearer(app)
    ask(client, alice, ttl_seconds=60)
    before = used(client, alice)
    assert code(ask(client, alice, ttl_seconds=61)) == (409, "idempotency-conflict")
    assert code(ask(client, alice)) == (409, "idempotency-conflict")
    assert used(client, alice) == before


def test_equal_json_counts_as_the_same_body(app: Flask, client: FlaskClient) -> None:
    headers = {**bearer(app), "Idempotency-Key": "k", "Content-Type": "application/json"}
    bodies = ('{"ttl_seconds": 60, "profile": "default"}', '{"profile":"default","ttl_seconds":60}')
    answers = [client.post("/token", headers=headers, data=body).get_json() for body in bodies]
    assert answers[0]["token"] == answers[1]["token"]


def test_callers_do_not_share_keys(app: Flask, client: FlaskClient) -> None:
    sessions = {ask(client, bearer(app, name)).get_json()["session"]["id"] for name in ("alice", "bob")}
    assert len(sessions) == 2


def test_service_key_repeats_a_request_for_its_user(app: Flask, client: FlaskClient) -> None:
    shop = key_headers(app, on_behalf_of="any")
    first = ask(client, shop, on_behalf_of="u1").get_json()
    again = ask(client, shop, on_behalf_of="u1").get_json()
    assert (again["token"], again["on_behalf_of"]) == (first["token"], "u1")
    assert code(ask(client, shop, on_behalf_of="u2")) == (409, "idempotency-conflict")
    assert client.get("/me", headers=shop).get_json()["limits"]["sessions"]["open"] == 1
    block_admin(app).block("u1", issuer=f"live-broker:key:{shop['X-API-Key'].split('_')[1]}")
    assert code(ask(client, shop, on_behalf_of="u1")) == (403, "account-blocked")


def test_failed_mint_frees_the_key(make_app: MakeApp) -> None:
    with StandIn(port=0) as standin:
        app = make_app(live_url=standin.url)
        client, alice = app.test_client(use_cookies=False), bearer(app)
        standin.control.scenario("mint-status", status=500, times=1)
        assert code(ask(client, alice)) == (502, "upstream-error")
        answer = ask(client, alice, ttl_seconds=60)
        assert answer.status_code == 200
        assert answer.get_json()["limits"]["sessions"]["open"] == 1


def test_fault_of_redis_frees_the_key(make_app: MakeApp, stores: Stores) -> None:
    with RedisServer() as full, redis.Redis.from_url(full.database()) as counters:
        environ = {**stores.migrated("postgresql").environ, "BROKER_REDIS_URL": full.database()}
        app = make_app(env=environ)
        user_admin(app).add("alice", "correct horse battery")
        client, alice = app.test_client(use_cookies=False), bearer(app)
        counters.config_set("maxmemory", "1")
        assert code(ask(client, alice)) == (503, "store-unavailable")
        counters.config_set("maxmemory", "0")
        assert code(ask(client, alice)) == (200, "ok")


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("table", ["audit", "tokens"])
def test_fault_of_the_database_frees_the_key(
    make_app: MakeApp, stores: Stores, kind: str, table: str
) -> None:
    app = make_app(env=stores.migrated(kind).environ)
    user_admin(app).add("alice", "correct horse battery")
    client, alice = app.test_client(use_cookies=False), bearer(app)
    database = parts_of(app).database

    def rename(before: str, after: str) -> None:
        with database.write() as connection:
            connection.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

    rename(table, "elsewhere")
    assert ask(client, alice).status_code == 503
    rename("elsewhere", table)
    assert code(ask(client, alice)) == (200, "ok")


def test_refusal_frees_the_key(make_app: MakeApp) -> None:
    clock = Shift()
    app = make_app(rate="1/minute", clock=clock)
    client, alice = app.test_client(use_cookies=False), bearer(app)
    ask(client, alice, "k-0")
    assert code(ask(client, alice)) == (429, "rate-limited")
    clock.by += timedelta(seconds=61)
    assert ask(client, alice).status_code == 200


def test_after_a_minute_the_key_opens_a_new_session(make_app: MakeApp) -> None:
    clock = Shift()
    app = make_app(clock=clock)
    client, alice = app.test_client(use_cookies=False), bearer(app)
    first = ask(client, alice).get_json()
    clock.by += timedelta(seconds=50)
    assert ask(client, alice).get_json()["session"]["id"] == first["session"]["id"]
    clock.by += timedelta(seconds=11)
    assert ask(client, alice, ttl_seconds=60).get_json()["session"]["id"] != first["session"]["id"]


def test_repeat_for_an_ended_session_is_a_conflict(app: Flask, client: FlaskClient) -> None:
    alice = bearer(app)
    session = ask(client, alice).get_json()["session"]["id"]
    client.post(f"/sessions/{session}/end", headers=alice)
    assert code(ask(client, alice)) == (409, "session-ended")


def test_repeat_gets_the_next_token_if_the_first_can_no_longer_connect(make_app: MakeApp) -> None:
    """The profile leaves less time to connect than a key is remembered."""
    clock = Shift()
    brief = (
        '[profiles.brief]\nmodels = ["gemini-3.8-live"]\nconnect_within_seconds = 20\n'
        '[profiles.brief.config]\nresponse_modalities = ["AUDIO"]\n'
    )
    app = make_app(clock=clock, toml=brief)
    client, alice = app.test_client(use_cookies=False), bearer(app)
    first = ask(client, alice, profile="brief").get_json()
    clock.by += timedelta(seconds=30)
    again = ask(client, alice, profile="brief").get_json()
    assert again["session"]["id"] == first["session"]["id"]
    assert again["token"] != first["token"]
    assert again["connect_within"] == 20
    assert again["limits"]["sessions"]["open"] == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "Schlüssel", "tab\there"])
def test_malformed_key_is_a_bad_request(app: Flask, client: FlaskClient, key: str) -> None:
    answer = ask(client, bearer(app), key)
    assert code(answer) == (400, "bad-request")


@pytest.mark.parametrize("key", ["x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~"])
def test_any_visible_ascii_text_is_a_key(app: Flask, client: FlaskClient, key: str) -> None:
    alice = bearer(app)
    assert ask(client, alice, key).get_json()["token"] == ask(client, alice, key).get_json()["token"]


def test_repeat_is_audited_and_its_token_is_stored_nowhere(app: Flask, client: FlaskClient) -> None:
    alice = bearer(app)
    key = "canary-idempotency-key"
    token = ask(client, alice, key).get_json()["token"]
    ask(client, alice, key)
    ask(client, alice, key, ttl_seconds=60)
    database = parts_of(app).database
    with database.read() as connection:
        rows = connection.execute(
            select(audit.c.outcome, audit.c.token_sha256).where(audit.c.action == "token")
        )
        outcomes = {row.outcome: row.token_sha256 for row in rows}
    assert set(outcomes) == {"reserved", "ok", "repeated", "idempotency-conflict"}
    assert outcomes["repeated"] == outcomes["ok"]
    path = Path(str(database.engine.url.database))
    kept = b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))
    assert token.encode() not in kept
    assert token.removeprefix("auth_tokens/").encode() not in kept
    assert key.encode() not in kept
