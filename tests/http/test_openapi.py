"""/openapi.json: valid, of every route, and true: each success is asked for and looks as it says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from broker.errors import CODES
from broker.http.guards import guard_of
from broker.http.openapi.document import document
from broker.http.openapi.routes import FILES, GROUPS, OPERATOR, OPERATOR_OR_SCOPED, PUBLIC, Route
from tests.http.admin import Desk
from tests.http.conftest import MakeApp, bearer
from tests.support.keys import key_headers
from tests.support.servers import PASSWORD

ROUTES: dict[str, Route] = {name: route for group in GROUPS.values() for name, route in group.items()}
# They lead a browser to an issuer and back; tests/http/test_oidc.py follows them.
ELSEWHERE = {"GET /auth/oidc/{issuer}", "GET /auth/oidc/{issuer}/callback"}


def in_braces(rule: str) -> str:
    return re.sub("<(?:[a-z]+(?:[(][^)]*[)])?:)?([a-z_]+)>", r"{\1}", rule)


def test_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_has_every_route_and_no_other(app: Flask) -> None:
    served = {
        f"{method} {in_braces(rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(ROUTES) == served - FILES


def test_says_who_may_call_as_the_guards_do(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        guard = guard_of(app.view_functions[rule.endpoint])
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            route = ROUTES.get(f"{method} {in_braces(rule.rule)}")
            if route is not None:
                assert (route.who == PUBLIC, route.who in (OPERATOR, OPERATOR_OR_SCOPED)) == (
                    guard == "public",
                    guard == "operator",
                )


def test_names_codes_that_there_are() -> None:
    assert {code for route in ROUTES.values() for code in route.codes} <= set(CODES)


def test_anybody_may_read_it(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.get_json()) == (200, document())
    page = client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


class Witness:
    """Asks, and holds each answer to what the document says of its status."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client(use_cookies=False)
        self.spec = document()
        self.seen: set[str] = set()

    def ask(self, name: str, headers: dict[str, str], body: Any = None, **ids: str) -> Any:
        method, path = name.split(" ")
        answer = self.client.open(path.format(**ids), method=method, headers=headers, json=body)
        told = self.spec["paths"][path][method.lower()]["responses"]
        assert str(answer.status_code) in told, f"{name}: {answer.text}"
        content = told[str(answer.status_code)].get("content", {})
        if answer.status_code < 400:
            self.seen.add(name)
        if not content:
            assert not answer.data
            return None
        assert answer.mimetype in content
        if str(answer.mimetype).startswith("text/"):
            return None
        value, schema = answer.get_json(), content[answer.mimetype]["schema"]
        Draft202012Validator({**schema, "components": self.spec["components"]}).validate(value)
        return value


def test_each_success_looks_as_it_says(make_app: MakeApp) -> None:
    app = make_app()
    witness, olga = Witness(app), Desk.of(app).headers
    ask, alice = witness.ask, bearer(app, "alice")
    shop = key_headers(app, on_behalf_of="any")
    ask("POST /auth/login", {}, {"username": "alice", "password": PASSWORD})
    session = ask("POST /token", alice)["session"]["id"]
    other = ask("POST /token", shop, {"on_behalf_of": "Zoë", "client": {"app": "shop"}})["session"]["id"]
    for action in ("token", "heartbeat"):
        ask(f"POST /sessions/{{session_id}}/{action}", alice, session_id=session)
    ask("POST /sessions/{session_id}/report", alice, {"underruns": 2, "token_ms": 80}, session_id=session)
    for headers in (alice, shop):
        ask("GET /me", headers)
        ask("GET /profiles", headers)

    people = ask("GET /admin/users", olga)["users"]
    key = {person["subject"]: person["key"] for person in people}
    ask("GET /admin/sessions", olga)
    ask("GET /admin/overview", olga)
    ask("POST /admin/users", olga, {"username": "carol", "password": PASSWORD})
    ask("PATCH /admin/users/{user_key}/limits", olga, {"version": 0, "sessions": 3}, user_key=key["bob"])
    for action, body in (("block", {"reason": "left"}), ("password", {"password": PASSWORD})):
        ask(f"POST /admin/users/{{user_key}}/{action}", olga, body, user_key=key["bob"])
    ask("POST /admin/users/{user_key}/block", olga, user_key=key["Zoë"])
    ask("GET /admin/users", olga)
    ask("GET /admin/blocks", olga)
    for subject in ("bob", "Zoë"):
        ask("GET /admin/users/{user_key}", olga, user_key=key[subject])
        ask("POST /admin/users/{user_key}/unblock", olga, user_key=key[subject])
    ask("POST /admin/users/{user_key}/sign-out", olga, user_key=key["bob"])
    made = ask("POST /admin/keys", olga, {"name": "app", "profiles": ["default"], "expires_days": 1})
    ask("GET /admin/keys", olga)
    ask("POST /admin/keys/{key_id}/revoke", olga, key_id=made["id"])
    ask("POST /admin/sessions/{session_id}/end", olga, session_id=other)
    ask("GET /admin/audit", olga)
    ask("GET /admin/usage", olga)
    ask("GET /metrics", olga)

    ask("POST /sessions/{session_id}/end", alice, session_id=session)
    ask("DELETE /sessions/{session_id}", alice, session_id=session)
    ask("POST /auth/logout", alice)
    for name in ("/healthz", "/readyz", "/.well-known/jwks.json", "/openapi.json", "/docs", "/", "/ops"):
        ask(f"GET {name}", {})
    assert witness.seen == set(ROUTES) - ELSEWHERE


HOSTILE: list[Any] = [None, [], "", 0, -1, 10**40, 1.5, True, "\0", "\ud800", "x" * 300, {"a": {"b": []}}]


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.body])
def test_whatever_a_field_holds_the_answer_is_one_that_the_document_has(app: Flask, name: str) -> None:
    """Each field of each body with each hostile value, from an operator: never a 500, always as told."""
    route = ROUTES[name]
    assert route.body is not None
    witness, olga = Witness(app), Desk.of(app).headers
    ids = {"session_id": f"ses_{'0' * 32}", "user_key": "0" * 40, "key_id": "nobody"}
    for field in [*route.body.model_fields, "unknown"]:
        for value in HOSTILE:
            value_told = witness.ask(name, olga, {field: value}, **ids)
            assert value_told is None or value_told.get("code") != "internal", (field, value)
