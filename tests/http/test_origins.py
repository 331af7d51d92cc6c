"""CORS: exact origins only, on errors too, and never with cookies."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from broker.telemetry import repeats
from broker.telemetry.repeats import MOST_OF_ONE_CALLER
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


CALLED_BY_APPS = [
    "/token", "/sessions/x/token", "/sessions/x/heartbeat", "/sessions/x/report", "/sessions/x/end",
    "/sessions/x", "/me", "/profiles", "/auth/login",
]  # fmt: skip


@pytest.mark.parametrize("path", CALLED_BY_APPS)
def test_tracing_headers_do_not_block_a_request(open_client: FlaskClient, path: str) -> None:
    asked = "authorization,baggage,content-type,sentry-trace,traceparent,tracestate,b3,x-datadog-trace-id"
    headers = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
        "Origin": APP,
    }
    answer = open_client.options(path, headers=headers)
    assert answer.status_code == 204
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(asked.split(",")) <= allowed
    assert not {"x-csrf-token", "cookie", "x-forwarded-for", "*"} & allowed


@pytest.mark.parametrize("path", ["/nothing", "/token/x", "/sessions", "/auth/oidc", "/admin/nothing"])
@pytest.mark.parametrize("method", ["POST", None])
def test_options_of_an_unknown_path_is_not_found(
    open_client: FlaskClient, path: str, method: str | None
) -> None:
    asked = {"Access-Control-Request-Method": method} if method else {}
    answer = open_client.options(path, headers={"Origin": APP, **asked})
    assert (answer.status_code, answer.mimetype) == (
        403 if "admin" in path else 404,
        "application/problem+json",
    )


@pytest.mark.parametrize("origin", ["capacitor://localhost", "ionic://localhost", "tauri://localhost"])
def test_app_calls_with_its_bearer_from_exactly_its_origin(make_app: MakeApp, origin: str) -> None:
    app = make_app(env={"BROKER_ALLOWED_ORIGINS": origin})
    client = app.test_client()
    answer = client.post("/token", headers={"Origin": origin, **bearer(app)})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
    preflight = {"Access-Control-Request-Method": "POST", "Origin": origin}
    assert client.options("/token", headers=preflight).headers["Access-Control-Allow-Origin"] == origin
    for other in (
        origin.upper(),
        f"{origin}:1",
        f"{origin}/",
        f"{origin}.evil",
        "https://a.localhost",
        "null",
    ):
        refused = client.post("/token", headers={"Origin": other, **bearer(app)})
        assert (refused.status_code, refused.get_json()["code"]) == (403, "origin-forbidden")
        preflight = {"Access-Control-Request-Method": "POST", "Origin": other}
        assert "Access-Control-Allow-Origin" not in client.options("/token", headers=preflight).headers


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


def preflight(client: FlaskClient, origin: str, path: str = "/token") -> TestResponse:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return client.options(path, headers=headers)


def refused_lines(lines: list[MutableMapping[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("method", "status", "code", "reason", "times")
    return [tuple(line.get(name) for name in names) for line in lines if line["event"] == "request"]


def test_blocked_preflight_names_the_origin_in_the_log_and_the_remedy_in_the_answer(
    open_client: FlaskClient,
) -> None:
    """The page sees a network fault only, and its developer opens the log or the network panel."""
    with capture_logs() as lines:
        answer = preflight(open_client, "http://localhost:5173")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "origin-forbidden")
    assert "BROKER_ALLOWED_ORIGINS" in answer.get_json()["hint"]
    reason = "origin http://localhost:5173 is not in BROKER_ALLOWED_ORIGINS"
    assert refused_lines(lines) == [("OPTIONS", 403, "origin-forbidden", reason, None)]


def test_blocked_preflights_of_one_address_are_bounded(open_client: FlaskClient) -> None:
    """Anyone may send any origin. Repeats are counted, and so are ever new origins after fifty."""
    repeats.write_all()  # those of other apps
    with capture_logs() as lines:
        for number in range(70):
            preflight(open_client, f"https://{number}.example")
            preflight(open_client, "https://same.example")
        repeats.write_all()
    found = refused_lines(lines)
    assert sum(line[-1] or 1 for line in found) == 140
    assert len(found) <= MOST_OF_ONE_CALLER + 3


@pytest.mark.parametrize("origin", ["http://[", "evil\x1b[2Jtext", "x" * 4000, "https://a.example/?key=AIza"])
def test_malformed_origin_is_not_copied_into_the_log(open_client: FlaskClient, origin: str) -> None:
    with capture_logs() as lines:
        assert preflight(open_client, origin).status_code == 403
    (line,) = refused_lines(lines)
    assert line[3].startswith(("the Origin header is malformed", "origin http://[ "))


def test_preflight_of_admin_does_not_promise_what_the_setting_cannot_give(open_client: FlaskClient) -> None:
    answer = preflight(open_client, APP, "/admin/users")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "origin-forbidden")
    assert "BROKER_ALLOWED_ORIGINS" not in answer.get_json()["hint"]


def test_preflight_of_our_own_page_is_answered(open_client: FlaskClient) -> None:
    assert preflight(open_client, "http://localhost").status_code == 204
