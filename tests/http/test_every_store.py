"""The routes over each kind of store: the way through, and texts that a database could choke on."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.http.conftest import MakeApp, user_admin
from tests.support.keys import key_headers
from tests.support.servers import PASSWORD, free_port
from tests.support.stores import STORES, Stores

HOSTILE = {
    "NUL": "a\0b",
    "lone surrogate": "a\ud800b",
    "long": "x" * 300,
    "astral": "\U0001f3a4" * 64,
    "percent": "%s %(name)s :name ?",
    "quotes": "'; DROP TABLE users; --",
    "backslash": "\\u0000\\",
}


@pytest.fixture(params=STORES)
def app(request: pytest.FixtureRequest, make_app: MakeApp, stores: Stores) -> Flask:
    made = make_app(env=stores.migrated(request.param).environ)
    user_admin(made).add("alice", PASSWORD)
    return made


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


@pytest.fixture
def alice(client: FlaskClient) -> dict[str, str]:
    answer = client.post("/auth/login", json={"username": "alice", "password": PASSWORD})
    return {"Authorization": f"Bearer {answer.get_json()['access_token']}"}


def test_somebody_signs_in_and_opens_renews_and_ends_a_session(
    client: FlaskClient, alice: dict[str, str]
) -> None:
    assert client.get("/readyz").status_code == 200
    answer = client.post("/token", headers=alice, json={"client": {"app": "Gespräch 🎤"}})
    assert answer.status_code == 200, answer.text
    path = f"/sessions/{answer.get_json()['session']['id']}"
    assert client.post(f"{path}/token", headers=alice).status_code == 200
    assert client.post(f"{path}/heartbeat", headers=alice).get_json()["state"] == "open"
    assert client.get("/me", headers=alice).status_code == 200
    assert client.delete(path, headers=alice).get_json()["state"] == "ended"
    assert client.post("/auth/logout", headers=alice).status_code == 204
    assert client.get("/me", headers=alice).status_code == 401


def test_no_text_is_too_much_for_the_store(app: Flask, client: FlaskClient, alice: dict[str, str]) -> None:
    backend = key_headers(app, on_behalf_of="any")
    unknown = f"/sessions/ses_{'0' * 32}/token"

    def post(path: str, body: dict[str, Any], headers: dict[str, str]) -> TestResponse:
        # Written out, since a lone surrogate is JSON but not UTF-8.
        return client.post(path, data=json.dumps(body), content_type="application/json", headers=headers)

    for name, text in HOSTILE.items():
        in_path = quote(text.encode("utf-8", "surrogatepass"), safe="")
        answers = {
            "user name": post("/auth/login", {"username": text, "password": "a guess"}, {}),
            "profile": post("/token", {"profile": text}, alice),
            "client": post("/token", {"client": {"app": text}}, alice),
            "handle": post(unknown, {"handle": text}, alice),
            "session": post(f"/sessions/{in_path}/heartbeat", {}, alice),
            "end user": post("/token", {"on_behalf_of": text}, backend),
        }
        for place, answer in answers.items():
            assert answer.status_code < 500, f"{name} as {place}: {answer.text}"


def test_without_redis_a_broker_that_counts_there_is_not_ready(make_app: MakeApp) -> None:
    app = make_app(env={"BROKER_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"})
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "store-unavailable")
