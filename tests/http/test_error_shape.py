"""Every error code through the real handlers: one shape, and nothing internal in it."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from broker.errors import CODES, Code, Refusal
from broker.http import guards
from broker.http.pages import ASSETS
from broker.parts import parts_of
from broker.store.database.tables import audit
from tests.http.conftest import MakeApp, bearer


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_the_same_shape(make_app: MakeApp, code: Code) -> None:
    app = make_app()

    @guards.public
    def raises() -> str:
        raise Refusal(code, reason="SELECT secret FROM inside")

    app.add_url_rule("/raises", view_func=raises)
    answer = app.test_client().get("/raises")
    body = answer.get_json()
    status, title = CODES[code]
    assert answer.status_code == body["status"] == status
    assert answer.mimetype == "application/problem+json"
    assert body["title"] == title
    assert body["type"].endswith(code)
    assert body["code"] == code
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert "inside" not in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_unexpected_exception_reveals_nothing(make_app: MakeApp) -> None:
    app = make_app()

    @guards.public
    def breaks() -> str:
        raise RuntimeError("/srv/secret/path")

    app.add_url_rule("/breaks", view_func=breaks)
    answer = app.test_client().get("/breaks")
    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not-found"),
        ("GET", "/live/../../pyproject.toml", 404, "not-found"),
        ("GET", "/live/%2e%2e/%2e%2e/pyproject.toml", 404, "not-found"),
        ("GET", "/demo/index.html", 404, "not-found"),
        ("GET", "/token", 405, "method"),
        ("PUT", "/token", 405, "method"),
    ],
)
def test_unknown_routes_and_methods_get_problem_bodies(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    if status == 405:
        assert answer.headers["Allow"] == "OPTIONS, POST"


def test_harmless_request_id_of_the_caller_is_kept(client: FlaskClient) -> None:
    kept = client.get("/healthz", headers={"X-Request-Id": "trace-0123456789"})
    assert kept.headers["X-Request-Id"] == "trace-0123456789"
    replaced = client.get("/healthz", headers={"X-Request-Id": 'x" onload="alert(1)'})
    assert '"' not in replaced.headers["X-Request-Id"]


def test_api_answers_cannot_be_framed_or_run_scripts(app: Flask, client: FlaskClient) -> None:
    headers = client.get("/me").headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_page_allows_only_its_own_scripts_and_the_live_host(app: Flask, client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    live = parts_of(app).settings.live_url.replace("http://", "ws://")
    assert f"connect-src 'self' {live};" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    with client.get("/live/network/network-worker.js") as worker:
        own = worker.headers["Content-Security-Policy"]
        assert worker.mimetype == "text/javascript"
    narrower = f"default-src 'none'; script-src 'self'; connect-src 'self' {live}; "
    assert own == narrower + "require-trusted-types-for 'script'"


def test_scripts_and_styles_carry_only_the_headers_that_they_need(client: FlaskClient) -> None:
    """A page loads about fifty of them, and the policy of the document applies to them."""
    for part in ("live/audio/mic.js", "demo/talk-view.css"):
        with client.get(f"/assets/{ASSETS.version}/{part}") as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Type"].startswith("text/")
            assert "Content-Security-Policy" not in answer.headers
            assert sum(len(f"{name}: {value}\r\n") for name, value in answer.headers) < 240
    with client.get(f"/assets/{ASSETS.version}/common/icon.svg") as picture:
        assert picture.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    for closed in ("/live/no-such.js", "/live/media/recorder-worker.js"):
        with client.get(closed) as answer:
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    "given",
    [
        "AIzaSyA1234567890abcdefghijklmnopqrstu",
        "AQ.Ab8RN6Jabcdefghij",
        "lbk_h3k9x2m7q4ab_0123456789012345678901234567890123456789012012345",
        "lbk_h3k9x2m7q4ab_part",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "sk-proj-0123456789abcdef",
        "ghp_0123456789abcdefghij",
        "AKIA0123456789ABCDEF",
        "ya29.a0Af_0123456789",
        "KEY-OF-THE-BROKER",
    ],
)
def test_request_id_that_looks_like_a_key_is_replaced(app: Flask, client: FlaskClient, given: str) -> None:
    if given == "KEY-OF-THE-BROKER":
        given = parts_of(app).settings.gemini_api_key.get_secret_value()
    answer = client.post("/token", headers={"X-Request-Id": given, **bearer(app)})
    assert answer.headers["X-Request-Id"] != given
    with parts_of(app).database.read() as connection:
        stored = connection.execute(select(audit.c.request_id)).scalars().all()
    assert set(stored) <= {answer.headers["X-Request-Id"], ""}


@pytest.mark.parametrize(
    "given",
    ["0af7651916cd43dd8448eb211c80319c", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "req_8f14e45f-ceea-467a", "skip-42-a"],
)
def test_other_request_ids_are_kept(client: FlaskClient, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given
