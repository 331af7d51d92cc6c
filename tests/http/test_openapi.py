"""/openapi.json is valid, complete and true: the tests call every route and check each answer against it."""

from __future__ import annotations

import inspect
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from broker.app import mount
from broker.errors import CODES
from broker.http.openapi.document import document
from broker.http.openapi.routes import in_braces, routes
from broker.operators.blocks import BlockAdmin
from broker.parts import parts_of
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer
from tests.http.openapi_contract import contract, lines
from tests.support.keys import key_headers
from tests.support.servers import PASSWORD

BARE = Flask("broker")
mount(BARE)
ROUTES = {route.name: route for route in routes(BARE)}
CONTRACT = Path(__file__).with_name("openapi_contract.json")
# tests/http/test_oidc.py follows these: they lead a browser to an issuer and back.
ELSEWHERE = {"GET /auth/oidc/{issuer}", "GET /auth/oidc/{issuer}/callback"}
# Addresses of files are not part of the API.
FILES = {
    "GET /{part}/{name}",
    "GET /assets/{version}/{part}/{name}",
    "GET /favicon.ico",
}


def test_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(document(BARE)).validate()


def test_document_has_every_route_except_files(app: Flask) -> None:
    served = {
        f"{method} {in_braces(rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(ROUTES) == served - FILES


def test_contract_changes_only_on_purpose() -> None:
    """Paths, members, types, bounds and status codes, without the texts for people.

    After a change on purpose, run `python -m tests.http.openapi_contract` and commit the new file.
    """
    assert lines(contract(document(BARE))) == CONTRACT.read_text()


def test_first_readers_make_the_document_once(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making it takes a tenth of a second of CPU, which every other request of the worker would wait for."""
    app = make_app()
    makings = []
    together = Barrier(8)

    def counted(app: Flask) -> dict[str, Any]:
        makings.append(app)
        return document(app)

    def read(_: int) -> bytes:
        together.wait()
        return bytes(app.test_client().get("/openapi.json").data)

    monkeypatch.setattr("broker.http.openapi.document", counted)
    with ThreadPoolExecutor(8) as threads:
        bodies = set(threads.map(read, range(8)))
    assert (len(bodies), len(makings)) == (1, 1)


def test_document_names_the_credentials_that_the_guards_accept() -> None:
    spec: Any = document(BARE)
    for route in ROUTES.values():
        named = {one for each in spec["paths"][route.path][route.method.lower()]["security"] for one in each}
        assert (named == set()) == (route.guard.level == "public")
        assert ("service_key" in named) == (route.guard.scope is not None)


def test_documented_codes_exist() -> None:
    assert {code for route in ROUTES.values() for code in route.operation.codes} <= set(CODES)


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.operation.body])
def test_documented_body_is_the_one_that_the_view_reads(name: str) -> None:
    route = ROUTES[name]
    assert route.operation.body is not None
    endpoint = next(
        rule.endpoint
        for rule in BARE.url_map.iter_rules()
        if in_braces(rule.rule) == route.path and route.method in (rule.methods or set())
    )
    source = inspect.getsource(inspect.unwrap(BARE.view_functions[endpoint]))
    assert re.findall(r"body\.read\((?:body\.)?(\w+)", source) == [route.operation.body.__name__]


def test_anyone_may_read_the_document(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.get_json()) == (200, document(app))
    page = client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


class Witness:
    """Calls routes, and holds each answer to what the document promises for its status."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client(use_cookies=False)
        self.spec: Any = document(app)
        self.seen: set[str] = set()

    def ask(self, name: str, headers: dict[str, str], body: Any = None, **ids: str) -> Any:
        method, path = name.split(" ")
        answer = self.client.open(path.format(**ids), method=method, headers=headers, json=body)
        promised = self.spec["paths"][path][method.lower()]["responses"]
        assert str(answer.status_code) in promised, f"{name}: {answer.text}"
        content = promised[str(answer.status_code)].get("content", {})
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


def test_each_success_matches_its_schema(make_app: MakeApp) -> None:
    app = make_app()
    witness, olga = Witness(app), OperatorClient.of(app).headers
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
    ask("GET /admin/spending", olga)
    ask("POST /admin/users", olga, {"username": "carol", "password": PASSWORD})
    ask("PATCH /admin/users/{user_key}/limits", olga, {"version": 0, "sessions": 3}, user_key=key["bob"])
    ask("POST /admin/users/{user_key}/roles", olga, {"roles": ["operator"]}, user_key=key["bob"])
    for action, body in (("block", {"reason": "left"}), ("password", {"password": PASSWORD})):
        ask(f"POST /admin/users/{{user_key}}/{action}", olga, body, user_key=key["bob"])
    ask("POST /admin/users/{user_key}/block", olga, user_key=key["Zoë"])
    ask("GET /admin/users", olga)
    ask("GET /admin/blocks", olga)
    BlockAdmin(parts_of(app).settings, parts_of(app).database, actor="tests").block_token("live-broker", "j1")
    ask("POST /admin/blocks/remove", olga, {"issuer": "live-broker", "jti": "j1"})
    for subject in ("bob", "Zoë"):
        ask("GET /admin/users/{user_key}", olga, user_key=key[subject])
        ask("POST /admin/users/{user_key}/unblock", olga, user_key=key[subject])
    ask("POST /admin/users/{user_key}/sign-out", olga, user_key=key["bob"])
    ask("POST /admin/users/{user_key}/team", olga, {"team": "sales"}, user_key=key["bob"])
    limits = {"version": 0, "minutes_per_month": 600, "rate": "100/hour"}
    ask("PATCH /admin/teams/{team_name}/limits", olga, limits, team_name="sales")
    ask("GET /admin/teams", olga)
    ask("GET /admin/teams/{team_name}", olga, team_name="sales")
    ask("GET /admin/users/{user_key}", olga, user_key=key["bob"])
    ask("GET /me", bearer(app, "bob"))
    created = ask(
        "POST /admin/keys", olga, {"name": "app", "team": "sales", "profiles": ["default"], "expires_days": 1}
    )
    ask("GET /admin/keys", olga)
    ask("POST /admin/keys/{key_id}/revoke", olga, key_id=created["id"])
    ask("POST /admin/sessions/{session_id}/end", olga, session_id=other)
    ask("GET /admin/audit", olga)
    ask("GET /admin/usage", olga)
    ask("GET /admin/usage/export", olga)
    ask("POST /admin/suspension", olga, {"suspended": True, "reason": "Maintenance."})
    ask("GET /admin/suspension", olga)
    ask("POST /admin/suspension", olga, {"suspended": False})
    ask("GET /metrics", olga)

    ask("POST /sessions/{session_id}/end", alice, session_id=session)
    ask("DELETE /sessions/{session_id}", alice, session_id=session)
    ask("POST /auth/logout", alice)
    for name in ("/healthz", "/readyz", "/.well-known/jwks.json", "/openapi.json", "/docs", "/", "/ops"):
        ask(f"GET {name}", {})
    assert witness.seen == set(ROUTES) - ELSEWHERE


HOSTILE: list[Any] = [None, [], "", 0, -1, 10**40, 1.5, True, "\0", "\ud800", "x" * 300, {"a": {"b": []}}]


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.operation.body])
def test_hostile_values_get_a_documented_answer(app: Flask, name: str) -> None:
    """An operator sends each hostile value in each field of each body. No answer is a 500."""
    model = ROUTES[name].operation.body
    assert model is not None
    witness, olga = Witness(app), OperatorClient.of(app).headers
    ids = {"session_id": f"ses_{'0' * 32}", "user_key": "0" * 40, "key_id": "nobody", "team_name": "sales"}
    for field in [*model.model_fields, "unknown"]:
        for value in HOSTILE:
            answer = witness.ask(name, olga, {field: value}, **ids)
            assert answer is None or answer.get("code") != "internal", (field, value)
