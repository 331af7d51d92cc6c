"""Each code of the closed family, through the real handlers: one shape, nothing from inside."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from broker.errors import CODES, Refusal
from broker.http import guards
from broker.http.pages import ASSETS
from tests.http.conftest import MakeApp


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_the_same_shape(make_app: MakeApp, code: str) -> None:
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


def test_an_exception_tells_nothing(make_app: MakeApp) -> None:
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
def test_what_is_not_there_is_a_problem_too(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    if status == 405:
        assert answer.headers["Allow"] == "OPTIONS, POST"


def test_a_request_id_of_the_caller_is_kept_if_it_is_harmless(client: FlaskClient) -> None:
    kept = client.get("/healthz", headers={"X-Request-Id": "trace-0123456789"})
    assert kept.headers["X-Request-Id"] == "trace-0123456789"
    replaced = client.get("/healthz", headers={"X-Request-Id": 'x" onload="alert(1)'})
    assert '"' not in replaced.headers["X-Request-Id"]


def test_api_answers_can_be_neither_framed_nor_run(app: Flask, client: FlaskClient) -> None:
    headers = client.get("/me").headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_admits_its_own_scripts_and_the_live_host_only(app: Flask, client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    live = app.extensions["broker"].settings.live_url.replace("http://", "ws://")
    assert f"connect-src 'self' {live};" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    with client.get("/live/net-worker.js") as worker:
        own = worker.headers["Content-Security-Policy"]
        assert worker.mimetype == "text/javascript"
    narrower = f"default-src 'none'; script-src 'self'; connect-src 'self' {live}; "
    assert own == narrower + "require-trusted-types-for 'script'"


def test_a_part_of_a_page_carries_what_counts_there_and_no_more(client: FlaskClient) -> None:
    """Some fifty of them make a page, and the document's policy holds for them."""
    for part in ("live/mic.js", "demo/talk-view.css"):
        with client.get(f"/assets/{ASSETS.version}/{part}") as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Type"].startswith("text/")
            assert "Content-Security-Policy" not in answer.headers
            assert sum(len(f"{name}: {value}\r\n") for name, value in answer.headers) < 240
    with client.get(f"/assets/{ASSETS.version}/common/icon.svg") as picture:
        assert picture.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    for closed in ("/live/no-such.js", "/live/recorder-worker.js"):
        with client.get(closed) as answer:
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
