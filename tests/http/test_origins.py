"""CORS: exact origins only, on errors too, and never with cookies."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.http.conftest import MakeApp, bearer

APP = "https://app.example"


@pytest.fixture
def open_client(make_app: MakeApp) -> FlaskClient:
    return make_app(env={"BROKER_ALLOWED_ORIGINS": APP}).test_client(use_cookies=False)


def test_page_of_an_allowed_origin_reads_answers_and_errors(open_client: FlaskClient) -> None:
    headers = {"Origin": APP, **bearer(open_client.application)}
    for answer in (
        open_client.post("/token", headers=headers),
        open_client.post("/token", headers={"Origin": APP}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert {"Retry-After", "RateLimit"} <= set(
            answer.headers["Access-Control-Expose-Headers"].split(", ")
        )
        assert "Origin" in answer.vary


def test_preflight_lists_allowed_methods_and_headers(open_client: FlaskClient) -> None:
    headers = {"Origin": APP, "Access-Control-Request-Method": "POST"}
    answer = open_client.options("/token", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Authorization", "Idempotency-Key", "X-Request-Id"} <= set(allowed)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.evil",
        "http://app.example",
        "null",
        "https://app.example/",
        "http://[",
        "http://a]b",
    ],
)
def test_other_origins_are_rejected(open_client: FlaskClient, origin: str) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert "Access-Control-Allow-Origin" not in open_client.options("/token", headers=preflight).headers
    answer = open_client.post("/token", headers={"Origin": origin, **bearer(open_client.application)})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "origin-forbidden")
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil"])
def test_development_broker_rejects_foreign_host_names(make_app: MakeApp, host: str) -> None:
    """DNS rebinding: Origin and Host match, although the page is foreign."""
    client = make_app(env={"BROKER_TRUSTED_HOSTS": ""}).test_client()
    body = {"username": "alice", "password": "x"}
    answer = client.post("/auth/login", json=body, headers={"Host": host, "Origin": f"http://{host}"})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad-request")
    assert client.get("/healthz", headers={"Host": "127.0.0.1:8080"}).status_code == 200
