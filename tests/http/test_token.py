"""POST /token and POST /sessions/{id}/token: the answer, and the refusal of each bad request."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from broker.minting.minter import preload_models
from broker.parts import parts_of
from broker.standin import StandIn
from broker.store.database.tables import audit, sessions, tokens
from tests.http.conftest import MakeApp, bearer, count_audited


def count(app: Flask, table: Any, **where: Any) -> int:
    query = select(func.count()).select_from(table)
    for column, value in where.items():
        query = query.where(table.c[column] == value)
    with parts_of(app).database.read() as connection:
        return int(connection.execute(query).scalar_one())


def mints(standin: StandIn) -> int:
    return len(standin.control.received()["mints"])


def test_answer_has_everything_that_a_client_needs(client: FlaskClient, alice: dict[str, str]) -> None:
    answer = client.post("/token", json={"client": {"app": "demo", "version": "1"}}, headers=alice)
    assert answer.status_code == 200
    body = answer.get_json()
    assert body["token"].startswith("auth_tokens/")
    assert body["token_type"] == "live-ephemeral"
    assert body["token"] not in body["url"]
    assert body["url"].startswith("ws://127.0.0.1:")
    assert body["url"].endswith(
        "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"
    )
    assert body["auth"] == {"in": "query", "name": "access_token"}
    assert body["api_version"] == "v1alpha"
    assert body["audio"] == {"input": "audio/pcm;rate=16000", "output": "audio/pcm;rate=24000"}
    assert body["expires_in"] == 900
    assert body["connect_within"] == 120
    assert body["setup"]["model"] == body["model"]
    assert "systemInstruction" not in body["setup"]
    assert "sessionResumption" not in body["locked"]
    assert {"model", "generationConfig", "systemInstruction", "tools"} <= set(body["locked"])
    assert body["session"]["id"].startswith("ses_")
    assert body["session"]["state"] == "open"
    now = datetime.now(UTC)
    assert abs(datetime.fromisoformat(body["expires_at"]) - now - timedelta(seconds=900)) < timedelta(
        seconds=30
    )
    assert datetime.fromisoformat(body["session"]["ends_at"]) > datetime.fromisoformat(body["expires_at"])
    assert body["limits"]["rate"] == [{"policy": "1000/minute", "remaining": 999, "reset": 60}]
    assert body["limits"]["sessions"] == {"limit": 1000, "open": 1}
    assert body["limits"]["minutes_per_day"] == {"limit": 10000, "used": 15}
    assert answer.headers["RateLimit-Policy"] == (
        '"1000/minute";q=1000;w=60, "sessions";q=1000;qu="concurrent-requests", '
        '"minutes_per_day";q=10000;qu="minutes";w=86400'
    )
    assert answer.headers["RateLimit"].startswith(
        '"1000/minute";r=999;t=60, "sessions";r=999, "minutes_per_day";r=9985;t='
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"Origin", "Authorization", "Cookie"} <= set(answer.vary)
    assert "Retry-After" not in answer.headers


def test_empty_body_requests_the_default_session(client: FlaskClient, alice: dict[str, str]) -> None:
    assert client.post("/token", headers=alice).status_code == 200


def test_store_keeps_only_a_hash_of_the_token(app: Flask, client: FlaskClient, alice: dict[str, str]) -> None:
    token = client.post("/token", headers=alice).get_json()["token"]
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert count(app, tokens, token_sha256=digest, state="issued") == 1
    assert count(app, audit, token_sha256=digest, action="token", outcome="ok") == 1


JSON = {"content_type": "application/json"}
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("foreign field", {"json": {"model": "models/gemini-3.8-live"}}, 422, "field-not-allowed"),
    ("foreign field in client", {"json": {"client": {"admin": "yes"}}}, 422, "field-not-allowed"),
    ("on behalf of a user", {"json": {"on_behalf_of": "bob"}}, 422, "field-not-allowed"),
    ("longer life", {"json": {"ttl_seconds": 901}}, 422, "ttl-too-long"),
    ("no life", {"json": {"ttl_seconds": 0}}, 422, "invalid-field"),
    ("life as a float", {"json": {"ttl_seconds": 60.0}}, 422, "invalid-field"),
    ("life as a boolean", {"json": {"ttl_seconds": True}}, 422, "invalid-field"),
    ("profile of another type", {"json": {"profile": 1}}, 422, "invalid-field"),
    ("unknown profile", {"json": {"profile": "nobody"}}, 404, "profile-unknown"),
    ("not an object", {"json": []}, 400, "bad-json"),
    ("broken body", {"data": b"{", **JSON}, 400, "bad-json"),
    ("not UTF-8", {"data": b'{"profile":"\xff"}', **JSON}, 400, "bad-json"),
    ("lone surrogate", {"data": b'{"profile":"\\ud800"}', **JSON}, 422, "invalid-field"),
    ("twice the same", {"data": b'{"ttl_seconds":60,"ttl_seconds":61}', **JSON}, 400, "bad-json"),
    ("NaN", {"data": b'{"ttl_seconds":NaN}', **JSON}, 400, "bad-json"),
    ("deep", {"data": b"[" * 8000, **JSON}, 400, "bad-json"),
    ("huge", {"data": b" " * 8193, **JSON}, 413, "too-large"),
    ("form", {"data": {"profile": "default"}}, 415, "media-type"),
    ("token in the query", {"query_string": {"access_token": "x"}}, 400, "bad-request"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "status", "code"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_bad_request_is_refused_and_changes_nothing(
    app: Flask,
    client: FlaskClient,
    alice: dict[str, str],
    standin: StandIn,
    request_: dict[str, Any],
    status: int,
    code: str,
) -> None:
    before = mints(standin)
    answer = client.post("/token", headers=alice, **request_)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert answer.mimetype == "application/problem+json"
    assert count(app, sessions) == 0
    assert mints(standin) == before


def test_answer_names_the_field_that_is_not_allowed(client: FlaskClient, alice: dict[str, str]) -> None:
    answer = client.post("/token", json={"model": "x", "ttl_seconds": "y"}, headers=alice).get_json()
    assert [field["field"] for field in answer["fields"]] == ["model"]


def test_bad_bodies_do_not_use_up_the_rate(make_app: MakeApp) -> None:
    app = make_app(rate="2/minute")
    client = app.test_client(use_cookies=False)
    for _ in range(5):
        assert client.post("/token", json={"model": "x"}, headers=bearer(app)).status_code == 422
    assert client.post("/token", headers=bearer(app)).status_code == 200


def test_exhausted_rate_reports_when_to_retry(make_app: MakeApp) -> None:
    app = make_app(rate="2/minute; 100/day")
    client = app.test_client(use_cookies=False)
    headers = bearer(app)
    assert [client.post("/token", headers=headers).status_code for _ in range(3)] == [200, 200, 429]
    answer = client.post("/token", headers=headers)
    body = answer.get_json()
    assert body["code"] == "rate-limited"
    assert body["violated-policies"] == ["2/minute"]
    assert answer.headers["Retry-After"] == str(body["retry_after_seconds"])
    assert 1 <= body["retry_after_seconds"] <= 60
    assert answer.headers["RateLimit"].startswith('"2/minute";r=0;t=')
    assert client.post("/token", headers=bearer(app, "bob")).status_code == 200
    assert count(app, sessions, state="open") == 3
    assert count_audited(app, outcome="rate-limited") == 2


def test_refused_mint_uses_no_session(make_app: MakeApp) -> None:
    app = make_app(live_url="http://127.0.0.1:9")
    answer = app.test_client(use_cookies=False).post("/token", headers=bearer(app))
    assert (answer.status_code, answer.get_json()["code"]) == (502, "upstream-error")
    assert count(app, sessions, state="open") == 0


def test_profile_of_another_plan_is_forbidden(make_app: MakeApp) -> None:
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
    answer = client.post("/token", json={"profile": "gold"}, headers=bearer(app))
    assert (answer.status_code, answer.get_json()["code"]) == (403, "profile-forbidden")
    listed = client.get("/profiles", headers=bearer(app)).get_json()["profiles"]
    shown = [(profile["name"], profile["voice"], profile["default"]) for profile in listed]
    assert shown == [
        ("default", None, True),
        ("storyteller", "Kore", False),
        ("dictation", None, False),
    ]


def test_profile_without_an_offered_model_is_not_listed(make_app: MakeApp) -> None:
    """Whether Google offers a model is known after gunicorn's look-up. Until then, all are listed."""

    def listed() -> list[str]:
        answer = client.get("/profiles", headers=alice).get_json()
        return [profile["name"] for profile in answer["profiles"]]

    with StandIn(port=0) as standin:
        standin.control.scenario("models-without", models=["gemini-3.5-transcribe-live"])
        app = make_app(live_url=standin.url)
        client, alice = app.test_client(use_cookies=False), bearer(app)
        everything = ["default", "storyteller", "dictation"]
        assert listed() == everything
        preload_models(parts_of(app).minter, parts_of(app).catalog.all())
        assert listed() == ["default", "storyteller"]
        answer = client.post("/token", json={"profile": "dictation"}, headers=alice)
        assert (answer.status_code, answer.get_json()["code"]) == (502, "upstream-rejected")
        standin.control.reset_scenarios()
        app = make_app(live_url=standin.url)
        client, alice = app.test_client(use_cookies=False), bearer(app)
        preload_models(parts_of(app).minter, parts_of(app).catalog.all())
        assert listed() == everything


def test_default_profile_is_always_listed(make_app: MakeApp) -> None:
    """A page that offers nothing could not say why."""
    models = [
        "gemini-3.8-live",
        "gemini-2.5-flash-native-audio-preview-09-2025",
        "gemini-3.5-transcribe-live",
    ]
    with StandIn(port=0) as standin:
        standin.control.scenario("models-without", models=models)
        app = make_app(live_url=standin.url)
        preload_models(parts_of(app).minter, parts_of(app).catalog.all())
        answer = app.test_client(use_cookies=False).get("/profiles", headers=bearer(app)).get_json()
        assert [profile["name"] for profile in answer["profiles"]] == ["default"]


def test_next_token_belongs_to_the_same_session(
    app: Flask, client: FlaskClient, alice: dict[str, str]
) -> None:
    first = client.post("/token", headers=alice).get_json()
    path = f"/sessions/{first['session']['id']}/token"
    second = client.post(path, json={"handle": "handle-1"}, headers=alice).get_json()
    assert second["session"]["id"] == first["session"]["id"]
    assert second["session"]["ends_at"] == first["session"]["ends_at"]
    assert second["token"] != first["token"]
    assert second["setup"]["sessionResumption"] == {"handle": "handle-1"}
    assert count(app, sessions) == 1
    assert count(app, tokens, state="issued") == 2


def test_session_keeps_its_model_when_google_stops_listing_it(make_app: MakeApp) -> None:
    with StandIn(port=0) as standin:
        app = make_app(live_url=standin.url)
        client = app.test_client(use_cookies=False)
        first = client.post("/token", headers=bearer(app)).get_json()
        standin.control.scenario("models-without", models=[first["model"].removeprefix("models/")])
        url = parts_of(app).settings.database_url.get_secret_value()
        later = make_app(live_url=standin.url, env={"BROKER_DATABASE_URL": url})
        client, headers = later.test_client(use_cookies=False), bearer(later)
        following = client.post(f"/sessions/{first['session']['id']}/token", headers=headers).get_json()
        assert following["model"] == first["model"]
        assert client.post("/token", headers=headers).get_json()["model"] != first["model"]


def test_no_one_else_sees_or_changes_a_session(
    app: Flask, client: FlaskClient, alice: dict[str, str]
) -> None:
    session_id = client.post("/token", headers=alice).get_json()["session"]["id"]
    for method, path in (("POST", "/token"), ("POST", "/heartbeat"), ("POST", "/end"), ("DELETE", "")):
        for name in (session_id, "ses_unknown", "ses_%00", "ses_" + "0" * 32):
            headers = bearer(app, "bob")
            answer = client.open(f"/sessions/{name}{path}", method=method, headers=headers)
            assert (answer.status_code, answer.get_json()["code"]) == (404, "session-unknown")
    assert client.post(f"/sessions/{session_id}/heartbeat", headers=alice).get_json()["state"] == "open"


@pytest.mark.parametrize(("method", "path"), [("POST", "/end"), ("DELETE", "")])
def test_ended_session_gets_no_further_token(
    client: FlaskClient, alice: dict[str, str], method: str, path: str
) -> None:
    first = client.post("/token", headers=alice).get_json()
    session_id = first["session"]["id"]
    ended = client.open(f"/sessions/{session_id}{path}", method=method, headers=alice).get_json()
    assert ended == {
        "id": session_id, "state": "ended", "honoured_until": first["expires_at"], "held_until": None,
    }  # fmt: skip
    assert client.open(f"/sessions/{session_id}{path}", method=method, headers=alice).get_json() == ended
    answer = client.post(f"/sessions/{session_id}/token", headers=alice)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "session-ended")
    beat = client.post(f"/sessions/{session_id}/heartbeat", headers=alice).get_json()
    assert beat["state"] == "ended"
    assert beat["message"]


def test_preloaded_models_spare_the_first_request_a_look_up(make_app: MakeApp) -> None:
    """gunicorn's hook preloads in each new worker, before a caller waits."""
    with StandIn(port=0) as standin:
        app = make_app(live_url=standin.url)
        preload_models(parts_of(app).minter, parts_of(app).catalog.all())
        standin.control.scenario("models-status", status=503)
        assert app.test_client(use_cookies=False).post("/token", headers=bearer(app)).status_code == 200


def test_preloading_ignores_an_unreachable_google(make_app: MakeApp) -> None:
    parts = parts_of(make_app(live_url="http://127.0.0.1:9"))
    preload_models(parts.minter, parts.catalog.all())


BRIEF = """
[profiles.brief]
models = ["gemini-3.8-live"]
connect_within_seconds = 5
slice_seconds = 40
[profiles.brief.config]
response_modalities = ["AUDIO"]
"""


@pytest.mark.parametrize("renews", [False, True])
def test_times_count_from_the_answer(make_app: MakeApp, standin: StandIn, renews: bool) -> None:
    app = make_app(toml=BRIEF.replace("= 5", "= 20"))
    client, alice = app.test_client(use_cookies=False), bearer(app)
    path, body = "/token", {"profile": "brief"}
    if renews:
        path = f"/sessions/{client.post(path, json=body, headers=alice).get_json()['session']['id']}/token"
        body = {}
    standin.control.scenario("mint-slow", seconds=1.1, times=1)
    answer = client.post(path, json=body, headers=alice)
    left = datetime.fromisoformat(answer.get_json()["connect_by"]) - datetime.now(UTC)
    assert answer.get_json()["connect_within"] <= left.total_seconds() + 1.1, "connect_by has whole seconds"
    assert answer.get_json()["connect_within"] <= 18
    assert answer.get_json()["expires_in"] <= 38


def test_token_that_comes_too_late_to_connect_is_refused_and_free(
    make_app: MakeApp, standin: StandIn
) -> None:
    app = make_app(toml=BRIEF)
    client, alice = app.test_client(use_cookies=False), bearer(app)
    preload_models(parts_of(app).minter, parts_of(app).catalog.all())
    standin.control.scenario("mint-slow", seconds=3.2, times=1)
    answer = client.post("/token", json={"profile": "brief"}, headers=alice)
    assert (answer.status_code, answer.get_json()["code"]) == (504, "upstream-timeout")
    limits = client.get("/me", headers=alice).get_json()["limits"]
    assert (limits["sessions"]["open"], limits["minutes_per_day"]["used"]) == (0, 0)
    assert client.post("/token", json={"profile": "brief"}, headers=alice).status_code == 200


@pytest.mark.parametrize("name", ["app", "version", "platform"])
@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x1b[31m", "a\x7fb", "a\x85b", "a\u2028b", "a\u202eb"])
def test_control_characters_in_client_are_refused(
    app: Flask, client: FlaskClient, alice: dict[str, str], name: str, text: str
) -> None:
    answer = client.post("/token", json={"client": {name: text}}, headers=alice)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (422, "invalid-field")
    assert [field["field"] for field in problem["fields"]] == [f"client.{name}"]
    assert count(app, sessions) == 0


@pytest.mark.parametrize(
    "text", ["\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "a\u00a0b", "\u3000x", "\U0001f3a4", "1.0 (beta)"]
)
def test_other_characters_in_client_are_stored(
    app: Flask, client: FlaskClient, alice: dict[str, str], text: str
) -> None:
    assert client.post("/token", json={"client": {"app": text}}, headers=alice).status_code == 200
    with parts_of(app).database.read() as connection:
        assert connection.execute(select(sessions.c.client)).scalar_one() == {"app": text}


def test_key_in_client_is_not_stored(app: Flask, client: FlaskClient, alice: dict[str, str]) -> None:
    key = parts_of(app).settings.gemini_api_key.get_secret_value()
    said = {"app": f"x {key}", "version": "AIzaSyA1234567890abcdefghijklmnopqrstu"}
    assert client.post("/token", json={"client": said}, headers=alice).status_code == 200
    with parts_of(app).database.read() as connection:
        stored = str(connection.execute(select(sessions.c.client)).scalar_one())
    assert not [text for text in (key, said["version"]) if text in stored]


def test_googles_delay_reaches_the_caller_and_stops_further_calls(
    make_app: MakeApp, standin: StandIn
) -> None:
    app = make_app()
    client, alice = app.test_client(use_cookies=False), bearer(app)
    preload_models(parts_of(app).minter, parts_of(app).catalog.all())
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "90s"}
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [info]}
    before = mints(standin)
    standin.control.scenario("mint-status", status=429, body=json.dumps({"error": error}))
    try:
        answers = [client.post("/token", headers=alice) for _ in range(40)]
    finally:
        standin.control.scenario("mint-status", off=True)
    assert {(answer.status_code, answer.get_json()["code"]) for answer in answers} == {
        (503, "upstream-quota")
    }
    assert answers[0].headers["Retry-After"] == "90"
    assert all(1 <= int(answer.headers["Retry-After"]) <= 90 for answer in answers)
    assert mints(standin) == before + 1
    limits = client.get("/me", headers=alice).get_json()["limits"]
    assert (limits["sessions"]["open"], limits["minutes_per_day"]["used"]) == (0, 0)
