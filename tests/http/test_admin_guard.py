"""Only operators may call /admin, from our own pages or with a bearer token."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from broker.http.credentials import CSRF_HEADER
from broker.http.guards import guard_of
from broker.parts import parts_of
from broker.principal import Principal
from broker.telemetry import repeats
from tests.http.admin import OperatorClient
from tests.http.conftest import ORIGIN, MakeApp, bearer
from tests.support.keys import key_headers
from tests.support.servers import PASSWORD

ELSEWHERE = "https://app.example"
GUESTS = "\n[guests]\nenabled = true\n"
KEY = "0" * 40
NEW = {"username": "m", "password": PASSWORD}


def admin_routes(app: Flask) -> list[tuple[str, str]]:
    routes = [
        (method, re.sub("<[a-z_]+>", KEY, rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]
    assert len(routes) >= 16
    return routes


@pytest.fixture
def olga(app: Flask) -> OperatorClient:
    return OperatorClient.of(app)


def test_every_admin_route_is_for_operators(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        is_theirs = rule.rule.startswith("/admin") or rule.rule == "/metrics"
        guard = guard_of(app.view_functions[rule.endpoint])
        assert guard is not None
        assert (guard.level == "operator") == is_theirs, rule.rule


def test_every_admin_route_rejects_all_other_callers(make_app: MakeApp) -> None:
    """No credential, a user without the role, a key with all scopes, a guest. The trail records each."""
    app = make_app(toml=GUESTS)
    client, guest = app.test_client(use_cookies=False), app.test_client()
    came = guest.get("/me", headers={"Sec-Fetch-Site": "same-origin"})
    as_guest = {CSRF_HEADER: came.get_json()["csrf_token"], "Origin": ORIGIN}
    callers = [
        (client, {}, 401, "missing-credentials"),
        (client, bearer(app, "alice"), 403, "forbidden"),
        (client, key_headers(app, on_behalf_of="any"), 403, "forbidden"),
        (guest, as_guest, 403, "forbidden"),
    ]
    for method, path in admin_routes(app):
        for browser, headers, status, code in callers:
            answer = browser.open(path, method=method, headers=headers)
            assert (answer.status_code, answer.get_json()["code"]) == (status, code), (method, path)
    repeats.write_all()
    entries = OperatorClient.of(app).all("audit", outcome="forbidden")
    assert sum(entry["times"] for entry in entries) == 3 * len(admin_routes(app))
    assert {entry["actor"].rsplit(":", 1)[0] for entry in entries} == {
        "live-broker", "live-broker:key", "live-broker:guest",
    }  # fmt: skip


def test_role_is_checked_on_each_request(olga: OperatorClient) -> None:
    assert olga.get("overview")["profiles"]
    database = parts_of(olga.app).database
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE users SET roles = '' WHERE username = 'olga'")
    assert olga.refused("GET", "overview")["code"] == "forbidden"


ISSUER = """
[[issuers]]
name = "idp"
issuer = "https://idp.example/"
audience = "app"
jwks_url = "http://127.0.0.1:9/keys"
"""
GIVES_ROLES = 'operator_claim = "groups"\noperator_values = ["voice-operators"]\n'


@pytest.mark.parametrize(("more", "status"), [(GIVES_ROLES, 200), ("", 403)])
def test_role_counts_only_from_issuers_that_may_grant_it(make_app: MakeApp, more: str, status: int) -> None:
    """A person signed in as an operator. Since then the issuer may have lost the right to grant the role."""
    app = make_app(toml=ISSUER + more)
    person = Principal("https://idp.example/", "u-1", "Ute", "default", frozenset({"operator"}))
    signed_in = parts_of(app).sign_ins.open(person)
    browser = app.test_client()
    browser.set_cookie("live-broker", signed_in.cookie)
    assert browser.get("/me").get_json()["roles"] == ["operator"]
    assert browser.get("/admin/overview").status_code == status


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_settings_cannot_open_admin_routes_to_other_origins(make_app: MakeApp, method: str) -> None:
    app = make_app(env={"BROKER_ALLOWED_ORIGINS": ELSEWHERE})
    olga = OperatorClient.of(app)
    headers = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "GET"}
    if method != "OPTIONS":
        headers |= olga.headers
    for path in ("/admin/users", "/admin/audit", "/admin"):
        answer = olga.client.open(path, method=method, headers=headers)
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")], path
        if method != "OPTIONS":
            assert answer.get_json()["code"] == "origin-forbidden"
    allowed = olga.client.get("/me", headers={"Origin": ELSEWHERE, **bearer(app, "alice")})
    assert allowed.headers["Access-Control-Allow-Origin"] == ELSEWHERE


def test_page_needs_its_csrf_header(app: Flask) -> None:
    browser = app.test_client()
    signed_in = browser.post("/auth/login", json={"username": "olga", "password": PASSWORD}).get_json()
    csrf = {CSRF_HEADER: signed_in["csrf_token"], "Origin": ORIGIN}
    body = {"username": "carol", "password": PASSWORD}
    for headers in ({}, {"Origin": ORIGIN}, {**csrf, CSRF_HEADER: "0" * 64}, {**csrf, "Origin": ELSEWHERE}):
        answer = browser.post("/admin/users", json=body, headers=headers)
        assert answer.status_code == 403
        assert answer.get_json()["code"] in {"csrf-failed", "origin-forbidden"}
    assert browser.get("/admin/users").status_code == 200
    assert browser.post("/admin/users", json=body, headers=csrf).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "field"),
    [
        ("POST", "users", {**NEW, "generation": "1"}, "field-not-allowed", "generation"),
        ("POST", "users", {**NEW, "roles": ["root"]}, "invalid-field", "roles.0"),
        ("POST", "users", {**NEW, "plan": "gold"}, "invalid-field", "plan"),
        ("POST", "users", {"username": "A\u0430", "password": PASSWORD}, "invalid-field", "username"),
        ("POST", "users", {"username": "m", "password": "short"}, "invalid-field", "password"),
        ("POST", "users", {**NEW, "password": "a half \ud800 character"}, "invalid-field", "password"),
        ("POST", "keys", {"name": "m", "scopes": ["admin"]}, "invalid-field", "scopes"),
        ("POST", "keys", {"name": "m", "expires_days": 10**12}, "invalid-field", "expires_days"),
        ("POST", "keys", {"name": "m", "id": "aaaaaaaaaaaa"}, "field-not-allowed", "id"),
        ("POST", "keys", {"name": "m", "on_behalf_of": "*"}, "invalid-field", "on_behalf_of"),
        ("PATCH", "limits", {"version": 0, "sessions": 10**30}, "invalid-field", "sessions"),
        ("PATCH", "limits", {"version": 0, "sessions": -1}, "invalid-field", "sessions"),
        ("PATCH", "limits", {"version": 0, "sessions": True}, "invalid-field", "sessions"),
        ("PATCH", "limits", {"version": 0, "rate": "often"}, "invalid-field", "rate"),
        ("PATCH", "limits", {"version": 0, "rate": "1/second;" * 60}, "invalid-field", "rate"),
        ("PATCH", "limits", {"version": 0, "rate": "9" * 30 + "/minute"}, "invalid-field", "rate"),
        ("PATCH", "limits", {"version": 0, "plan": "\0"}, "invalid-field", "plan"),
        ("PATCH", "limits", {"version": 2**31, "sessions": 1}, "invalid-field", "version"),
        ("PATCH", "limits", {"sessions": 1}, "invalid-field", "version"),
        ("PATCH", "limits", {"version": 0, "roles": ["operator"]}, "field-not-allowed", "roles"),
        ("POST", "block", {"reason": "a\0b"}, "invalid-field", "reason"),
        ("POST", "block", {"until": "x"}, "field-not-allowed", "until"),
    ],
)  # fmt: skip
def test_invalid_changes_are_rejected_by_field_name(
    olga: OperatorClient, method: str, path: str, body: dict[str, object], code: str, field: str
) -> None:
    if path in {"limits", "block"}:
        path = f"users/{olga.user('alice')['key']}/{path}"
    before = olga.get("users")
    answer = olga.client.open(
        f"/admin/{path}", method=method, headers=olga.headers,
        data=json.dumps(body), content_type="application/json",
    )  # fmt: skip
    assert (answer.status_code, answer.get_json()["code"]) == (422, code), answer.text
    assert [fault["field"] for fault in answer.get_json()["fields"]] == [field]
    assert olga.get("users") == before


@pytest.mark.parametrize(
    ("path", "parameters", "code"),
    [
        ("users", {"limit": "0"}, "invalid-field"),
        ("users", {"limit": "201"}, "invalid-field"),
        ("users", {"limit": "9" * 400}, "invalid-field"),
        ("users", {"state": "gone"}, "invalid-field"),
        ("users", {"query": "a\0b"}, "invalid-field"),
        ("users", {"query": "x" * 300}, "invalid-field"),
        ("users", {"sort": "password_hash"}, "invalid-field"),
        ("users", {"order": "password_hash"}, "field-not-allowed"),
        ("users", {"limit": ["1", "2"]}, "invalid-field"),
        ("sessions", {"user": "' OR 1=1 --"}, "invalid-field"),
        ("audit", {"since": "yesterday"}, "invalid-field"),
        ("audit", {"since": "2026-11-23T10:15:00"}, "invalid-field"),
        ("audit", {"until": "9999-12-31T23:59:59-23:00"}, "invalid-field"),
        ("audit", {"actor": "\0"}, "invalid-field"),
        ("audit", {"kind": "tokens"}, "invalid-field"),
        ("blocks", {"state": "users"}, "invalid-field"),
        ("keys", {"state": "all"}, "field-not-allowed"),
    ],
)
def test_invalid_list_parameters_are_rejected(
    olga: OperatorClient, path: str, parameters: dict[str, Any], code: str
) -> None:
    refused = olga.refused("GET", path, **parameters)
    assert (refused["status"], refused["code"]) == (422, code)
    assert refused["fields"]


def cursor(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize("path", ["users", "sessions", "keys", "blocks", "audit"])
def test_forged_cursors_are_rejected(olga: OperatorClient, path: str) -> None:
    bad = [
        "x", "=", "é", "AAAA", "bnVsbA", cursor(), cursor(None, None), cursor({}), cursor([["a"]], 1),
        cursor("a\0b", "c"), cursor("\ud800", "c"), cursor(2**70), cursor(-1), cursor(1.5), cursor(True),
        cursor("a", "b", "c"), "W" * 2000, "[" * 1900,
    ]  # fmt: skip
    for text in bad:
        refused = olga.refused("GET", path, cursor=text)
        assert (refused["status"], refused["code"]) == (422, "invalid-field"), text
        assert refused["fields"][0]["field"] == "cursor"


def test_only_operators_add_operators_and_the_audit_trail_records_it(olga: OperatorClient) -> None:
    body = {"username": "mallory", "password": PASSWORD, "roles": ["operator"]}
    as_alice = olga.client.post("/admin/users", json=body, headers=bearer(olga.app, "alice"))
    assert as_alice.status_code == 403
    assert "mallory" not in {person["subject"] for person in olga.all("users")}
    olga.post("users", body, status=201)
    entry = olga.trail("user.add")
    assert (entry["actor"], entry["detail"]["after"]["roles"]) == ("live-broker:olga", ["operator"])
    assert PASSWORD not in json.dumps(olga.all("audit"))


def test_admin_answers_are_never_cached(olga: OperatorClient, client: FlaskClient) -> None:
    answer = client.get("/admin/users", headers=olga.headers)
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"Authorization", "Cookie"} <= set(answer.vary)
