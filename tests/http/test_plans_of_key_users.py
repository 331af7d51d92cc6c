"""A service key gives its users plans: its own choice, or the request's, for the whole session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from broker.operators.limits import LimitAdmin
from broker.parts import parts_of
from broker.principal import KEY_ISSUER
from broker.store.database.tables import service_keys, sessions
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, add_users, bearer, count_audited
from tests.support.keys import key_headers, make_key
from tests.support.stores import DATABASES, Stores

PLANS = """
[plans.backend]
rate = "1000/minute"
sessions = 1000
minutes_per_day = 10000
session_minutes = 30
[plans.free]
rate = "20/minute"
sessions = 1
minutes_per_day = 5
session_minutes = 5
[plans.pro]
rate = "30/minute"
sessions = 5
minutes_per_day = 60
session_minutes = 30
"""
TERMS: dict[str, Any] = {"plan": "backend", "on_behalf_of": "any", "user_plan": "free", "plans": ["pro"]}


@pytest.fixture(params=DATABASES)
def app(
    request: pytest.FixtureRequest, make_app: MakeApp, stores: Stores, database_with_users: Path
) -> Flask:
    if request.param == "sqlite":
        return make_app(toml=PLANS)
    app = make_app(toml=PLANS, env=stores.migrated(request.param).environ)
    add_users(app, database_with_users)
    return app


@pytest.fixture
def shop(app: Flask) -> dict[str, str]:
    return key_headers(app, **TERMS)


def post(client: FlaskClient, headers: dict[str, str], **body: Any) -> Any:
    return client.post("/token", json=body, headers=headers)


def result(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json().get("code", "")


def limits_of(answer: Any) -> tuple[int, str, int]:
    """(sessions, rate, minutes) that the answer names."""
    limits = answer.get_json()["limits"]
    return limits["sessions"]["limit"], limits["rate"][0]["policy"], limits["minutes_per_day"]["limit"]


def test_request_names_the_plan_and_the_key_gives_one_otherwise(
    client: FlaskClient, shop: dict[str, str]
) -> None:
    usual = post(client, shop, on_behalf_of="u1")
    assert limits_of(usual) == (1, "20/minute", 5)
    assert usual.get_json()["expires_in"] == 300
    paying = post(client, shop, on_behalf_of="u2", plan="pro")
    assert limits_of(paying) == (5, "30/minute", 60)
    assert paying.get_json()["expires_in"] == 900
    assert limits_of(post(client, shop, on_behalf_of="u3", plan="free")) == (1, "20/minute", 5)


def test_plan_holds_for_the_whole_session(app: Flask, client: FlaskClient, shop: dict[str, str]) -> None:
    opened = post(client, shop, on_behalf_of="u2", plan="pro").get_json()["session"]
    path = f"/sessions/{opened['id']}"
    renewed = client.post(f"{path}/token", headers=shop)
    assert limits_of(renewed) == (5, "30/minute", 60)
    assert client.post(f"{path}/heartbeat", json={}, headers=shop).get_json()["state"] == "open"
    (mine,) = client.get("/me", headers=shop).get_json()["sessions"]
    assert (mine["on_behalf_of"], mine["plan"]) == ("u2", "pro")
    assert client.post(f"{path}/end", json={}, headers=shop).get_json()["state"] == "ended"


def test_plans_that_the_key_does_not_name_are_refused(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    for plan in ("backend", "default", "nothing"):
        assert result(post(client, shop, on_behalf_of="u1", plan=plan)) == (403, "forbidden")
    assert count_audited(app, action="token", outcome="forbidden") == 3
    alone = post(client, shop, plan="pro")
    assert result(alone) == (422, "invalid-field")
    assert alone.get_json()["fields"] == [{"field": "plan", "problem": "needs on_behalf_of"}]
    for invalid in ("", "x" * 65, 7):
        assert result(post(client, shop, on_behalf_of="u1", plan=invalid)) == (422, "invalid-field")
    assert result(post(client, bearer(app), plan="pro")) == (422, "field-not-allowed")


def test_plan_of_the_request_decides_and_counts_are_the_users(
    client: FlaskClient, shop: dict[str, str]
) -> None:
    for _ in range(2):
        assert post(client, shop, on_behalf_of="u1", plan="pro").status_code == 200
    full = post(client, shop, on_behalf_of="u1")
    assert result(full) == (429, "too-many-sessions")
    assert full.get_json()["detail"] == "2 of 1 sessions are open."
    assert post(client, shop, on_behalf_of="u1", plan="pro").status_code == 200
    assert post(client, shop, on_behalf_of="u2").status_code == 200


def test_override_of_an_operator_replaces_the_plan_until_it_is_cleared(
    app: Flask, client: FlaskClient
) -> None:
    made = make_key(app, **TERMS)
    shop, issuer = {"X-API-Key": made.secret}, f"{KEY_ISSUER}:{made.key.id}"
    parts = parts_of(app)
    admin = LimitAdmin(parts.settings, parts.database, actor="tests")
    opened = post(client, shop, on_behalf_of="u1", plan="pro").get_json()["session"]["id"]
    admin.set("u1", {"plan": "backend"}, issuer)
    assert limits_of(post(client, shop, on_behalf_of="u1"))[0] == 1000
    assert limits_of(client.post(f"/sessions/{opened}/token", headers=shop))[0] == 1000
    overridden = post(client, shop, on_behalf_of="u1", plan="pro").get_json()["session"]["id"]
    admin.clear("u1", issuer=issuer)
    for session in (opened, overridden):
        assert limits_of(client.post(f"/sessions/{session}/token", headers=shop))[0] == 5


def test_plan_that_the_settings_no_longer_name_falls_back_to_default(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    opened = post(client, shop, on_behalf_of="u1", plan="pro").get_json()["session"]["id"]
    with parts_of(app).database.write() as connection:
        connection.execute(update(service_keys).values(user_plan="gone", plans=["lost"]))
        connection.execute(update(sessions).values(user_plan="lost"))
    default = client.get("/me", headers=bearer(app)).get_json()["limits"]["sessions"]["limit"]
    for answer in (
        client.post(f"/sessions/{opened}/token", headers=shop),
        post(client, shop, on_behalf_of="u2"),
        post(client, shop, on_behalf_of="u3", plan="lost"),
    ):
        assert limits_of(answer)[0] == default


def test_repeated_request_gets_the_session_of_its_plan(client: FlaskClient, shop: dict[str, str]) -> None:
    once = {**shop, "Idempotency-Key": "order-1"}
    first = post(client, once, on_behalf_of="u1", plan="pro")
    again = post(client, once, on_behalf_of="u1", plan="pro")
    assert again.get_json()["token"] == first.get_json()["token"]
    assert limits_of(again) == (5, "30/minute", 60)
    assert result(post(client, once, on_behalf_of="u1")) == (409, "idempotency-conflict")


def test_warm_tokens_have_the_limits_of_the_plan(make_app: MakeApp) -> None:
    app = make_app(toml=PLANS, warm=1)
    client, shop = app.test_client(use_cookies=False), key_headers(app, **TERMS)
    try:
        assert limits_of(post(client, shop, on_behalf_of="u1", plan="pro"))[0] == 5
        assert limits_of(post(client, shop, on_behalf_of="u2"))[0] == 1
    finally:
        parts_of(app).issuer.first.warm_tokens.close()


def test_operators_see_the_plan_of_the_latest_session_or_that_of_the_key(app: Flask) -> None:
    olga, made = OperatorClient.of(app), make_key(app, **TERMS)
    shop = {"X-API-Key": made.secret}
    assert post(olga.client, shop, on_behalf_of="u1", plan="pro").status_code == 200
    shown = olga.get(f"users/{olga.user('u1')['key']}")
    assert (shown["plan"], shown["limits"]["rule"], shown["limits"]["sessions"]) == ("pro", "plan pro", 5)
    explained = olga.user_admin.explain("u1", issuer=f"{KEY_ISSUER}:{made.key.id}")
    assert (explained.rule, explained.limits.sessions, explained.answer) == ("plan pro", 5, "granted")
    with parts_of(app).database.write() as connection:
        connection.execute(update(sessions).values(user_plan=None))
    assert olga.user("u1")["plan"] == "free"
    # A user without a session yet, whom an operator asks about.
    explained = olga.user_admin.explain("u9", issuer=f"{KEY_ISSUER}:{made.key.id}")
    assert explained.rule == "plan free"


def test_dry_run_of_a_keys_user_includes_the_limits_of_the_key(app: Flask) -> None:
    olga, made = OperatorClient.of(app), make_key(app, **TERMS)
    parts = parts_of(app)
    LimitAdmin(parts.settings, parts.database, actor="tests").set(made.key.id, {"sessions": 1}, KEY_ISSUER)
    assert post(olga.client, {"X-API-Key": made.secret}, on_behalf_of="u1").status_code == 200
    explained = olga.user_admin.explain("u2", issuer=f"{KEY_ISSUER}:{made.key.id}")
    assert explained.answer == "too-many-sessions"


def test_keys_from_before_give_their_users_the_default_plan(app: Flask, client: FlaskClient) -> None:
    shop = key_headers(app, plan="backend", on_behalf_of="any")
    shown = client.get("/me", headers=shop).get_json()["service_key"]
    assert (shown["user_plan"], shown["plans"]) == ("default", [])
    opened = post(client, shop, on_behalf_of="u1").get_json()["session"]["id"]
    with parts_of(app).database.write() as connection:  # as a session that was opened before
        connection.execute(update(sessions).values(user_plan=None))
    assert client.post(f"/sessions/{opened}/token", headers=shop).status_code == 200


def test_operator_creates_a_key_with_plans(app: Flask) -> None:
    olga = OperatorClient.of(app)
    made = olga.post("keys", {"name": "shop", **TERMS}, status=201)
    assert (made["user_plan"], made["plans"]) == ("free", ["pro"])
    assert olga.all("keys")[0]["plans"] == ["pro"]
    assert olga.trail("key.create")["detail"]["after"]["plans"] == ["pro"]
    for change, field in (
        ({"user_plan": "nothing"}, "user_plan"),
        ({"plans": ["nothing"]}, "plans"),
        ({"on_behalf_of": None}, "on_behalf_of"),
    ):
        refused = olga.refused("POST", "keys", {"name": "other", **TERMS, **change})
        assert (refused["code"], refused["fields"][0]["field"]) == ("invalid-field", field)
