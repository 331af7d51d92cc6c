"""Walks the route table: each route has a guard, and only public routes answer without a credential."""

from __future__ import annotations

import re

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from broker.http.guards import guard_of
from tests.http.conftest import MakeApp

PUBLIC = {
    "/",
    "/ops",
    "/<any(live, demo, ops, docs, common, bundle):part>/<path:name>",
    "/assets/<version>/<any(live, demo, ops, docs, common, bundle):part>/<path:name>",
    "/favicon.ico",
    "/openapi.json",
    "/docs",
    "/healthz",
    "/readyz",
    "/auth/login",
    "/auth/oidc/<issuer>",
    "/auth/oidc/<issuer>/callback",
    "/.well-known/jwks.json",
}


def test_every_route_has_a_guard(app: Flask) -> None:
    guards = {rule.rule: guard_of(app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules()}
    assert None not in guards.values()
    assert {rule for rule, guard in guards.items() if guard and guard.level == "public"} == PUBLIC


def test_only_public_routes_answer_without_a_credential(app: Flask, client: FlaskClient) -> None:
    for rule in app.url_map.iter_rules():
        if rule.rule in PUBLIC:
            continue
        path = re.sub("<[a-z_]+>", "ses_1", rule.rule)
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            answer = client.open(path, method=method)
            assert (answer.status_code, answer.get_json()["code"]) == (401, "missing-credentials"), path
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="live-broker"'


def test_route_without_a_guard_answers_nobody(make_app: MakeApp) -> None:
    app = make_app()

    def forgotten() -> Response:
        pytest.fail("a view without a guard was called")

    app.add_url_rule("/forgotten", view_func=forgotten)
    answer = app.test_client().get("/forgotten")
    assert (answer.status_code, answer.get_json()["code"]) == (500, "internal")
