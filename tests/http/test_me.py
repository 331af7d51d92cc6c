"""GET /me: the principal, its limits, its open sessions and the next token's answer. Nothing is counted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from broker.parts import parts_of
from broker.standin import StandIn
from broker.store.database.tables import metadata
from tests.conftest import MakeBroker
from tests.http.conftest import MakeApp, bearer
from tests.support.keys import key_headers, make_key


def rows(app: Flask) -> dict[str, int]:
    """Returns the number of rows in each table."""
    with parts_of(app).database.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def me(client: FlaskClient, headers: dict[str, str]) -> dict[str, Any]:
    answer = client.get("/me", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return dict(answer.get_json())


def test_me_answers_with_every_member(client: FlaskClient, alice: dict[str, str]) -> None:
    assert me(client, alice) == {
        "principal": {"issuer": "live-broker", "subject": "alice"},
        "name": "alice",
        "plan": "default",
        "roles": [],
        "limits": {
            "rate": [{"policy": "1000/minute", "remaining": 1000, "reset": 60}],
            "sessions": {"limit": 1000, "open": 0},
            "minutes_per_day": {"limit": 10000, "used": 0},
        },
        "sessions": [],
        "next_token": {"granted": True, "profile": "default"},
    }


def test_cookie_gets_its_csrf_token(page: tuple[FlaskClient, dict[str, str]]) -> None:
    browser, headers = page
    assert me(browser, {})["csrf_token"] == headers["X-CSRF-Token"]


def test_me_agrees_with_the_next_token_answer(make_app: MakeApp) -> None:
    app = make_app(rate="3/minute; 100/day")
    client = app.test_client(use_cookies=False)
    headers = bearer(app)
    for used in range(4):
        body = me(client, headers)
        assert [left["remaining"] for left in body["limits"]["rate"]] == [3 - used, 100 - used]
        assert body["next_token"]["granted"] == (used < 3)
        answer = client.post("/token", headers=headers)
        assert (answer.status_code == 200) == body["next_token"]["granted"]
    problem = answer.get_json()
    dry_run = body["next_token"]
    assert (dry_run["status"], dry_run["code"]) == (429, "rate-limited")
    assert dry_run["detail"] == problem["detail"]
    assert 1 <= dry_run["retry_after_seconds"] <= 60


def test_me_counts_nothing(make_app: MakeApp) -> None:
    app = make_app(rate="2/minute")
    client = app.test_client(use_cookies=False)
    headers = bearer(app)
    client.post("/token", headers=headers)
    before = rows(app)
    answers = [me(client, headers) for _ in range(20)]
    assert {answer["limits"]["rate"][0]["remaining"] for answer in answers} == {1}
    assert rows(app) == before
    assert client.post("/token", headers=headers).status_code == 200


def test_me_writes_no_row_for_a_new_principal(app: Flask, client: FlaskClient, alice: dict[str, str]) -> None:
    before = rows(app)
    me(client, alice)
    assert rows(app) == before


def test_me_predicts_a_forbidden_profile(make_app: MakeApp) -> None:
    more = """
[plans.gold]
rate = "10/minute"
sessions = 1
minutes_per_day = 1
session_minutes = 1
[profiles.gold]
models = ["gemini-3.8-live"]
plans = ["gold"]
[profiles.gold.config]
response_modalities = ["AUDIO"]
"""
    app = make_app(toml=more)
    client = app.test_client(use_cookies=False)
    headers = key_headers(app, plan="gold", profiles=["gold"])
    body = me(client, headers)["next_token"]
    answer = client.post("/token", headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (body["status"], body["code"])
    assert body["code"] == "profile-forbidden"


def test_me_lists_the_callers_own_open_sessions(
    app: Flask, client: FlaskClient, alice: dict[str, str]
) -> None:
    first, second = (client.post("/token", headers=alice).get_json()["session"] for _ in range(2))
    client.post("/token", headers=bearer(app, "bob"))
    listed = me(client, alice)["sessions"]
    assert {one["id"] for one in listed} == {first["id"], second["id"]}
    for one in listed:
        assert set(one) == {"id", "profile", "state", "opened_at", "ends_at", "held_until"}
        assert (one["profile"], one["state"]) == ("default", "open")
        assert datetime.fromisoformat(one["opened_at"]) < datetime.fromisoformat(one["ends_at"])
    client.delete(f"/sessions/{first['id']}", headers=alice)
    assert [one["id"] for one in me(client, alice)["sessions"]] == [second["id"]]


def test_failed_mint_leaves_no_open_session(make_app: MakeApp) -> None:
    app = make_app(live_url="http://127.0.0.1:9")
    client = app.test_client(use_cookies=False)
    client.post("/token", headers=bearer(app))
    assert me(client, bearer(app))["sessions"] == []


def test_me_shows_a_service_key_its_scopes_and_profiles(app: Flask, client: FlaskClient) -> None:
    made = make_key(app, on_behalf_of="acme:*", scopes=["read"], profiles=["default"], expires_days=7)
    body = me(client, {"X-API-Key": made.secret})
    assert body["principal"] == {"issuer": "live-broker:key", "subject": made.key.id}
    assert body["name"] == "shop"
    assert "csrf_token" not in body
    assert (body["next_token"]["granted"], body["next_token"]["code"]) == (False, "forbidden")
    answer = client.post("/token", headers={"X-API-Key": made.secret})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")
    terms = body["service_key"]
    assert datetime.fromisoformat(terms.pop("expires_at")) == made.key.expires_at.replace(microsecond=0)  # type: ignore[union-attr]
    plans = {"user_plan": "default", "plans": []}
    assert terms == {"scopes": ["read"], "profiles": ["default"], "on_behalf_of": "acme:*", **plans}


def test_every_worker_gives_the_same_answer(standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, rate="100/minute", workers=4, threads=4)
    broker.add_user("alice")
    with broker.client("alice") as client:
        session = client.post("/token").json()["session"]["id"]
    body = []
    for _ in range(12):
        with broker.client("alice") as client:
            answer = client.get("/me").json()
        body.append((answer["limits"]["rate"][0]["remaining"], [one["id"] for one in answer["sessions"]]))
    assert body == [(99, [session])] * 12
