"""docs/http-api.md and docs/admin-api.md list every route and show real answers.

The answers come from a running broker.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from broker.app import create_app
from broker.settings import load
from tests.docs.markdown import code_blocks_of, rows, section, shape
from tests.support.environment import environment
from tests.support.servers import PASSWORD, BrokerServer

CALLERS = "docs/http-api.md"
OPERATORS = "docs/admin-api.md"
# One row documents all addresses of files. Browsers ask for /favicon.ico by themselves.
FILES = {
    "GET /<any(live, demo, ops, docs, common, bundle):part>/<path:name>",
    "GET /assets/{version}/<any(live, demo, ops, docs, common, bundle):part>/<path:name>",
    "GET /favicon.ico",
}


def shown(page: str, heading: str) -> Any:
    """The answer that a page shows under a heading."""
    (example,) = code_blocks_of(section(page, heading), "json")
    return json.loads(example)


def documented_routes(page: str) -> set[str]:
    return {
        route
        for cells in rows(section(page, "## Routes"))
        for route in re.findall(r"`([A-Z]+ [^`]+)`", cells[0])
        if "…" not in route
    }


@pytest.fixture
def alice(broker: BrokerServer) -> httpx2.Client:
    return broker.client("alice")


def as_documented(rule: str) -> str:
    """`/sessions/<session_id>/token` is `/sessions/{id}/token` on the pages."""
    return re.sub("<([a-z]+)>", r"{\1}", re.sub("<[a-z]+_(id|key|name)>", r"{\1}", rule))


def test_every_route_is_documented_on_the_page_of_its_readers(tmp_path: Path) -> None:
    app = create_app(load(environment(tmp_path, "http://127.0.0.1:9")))
    routes = {
        f"{method} {as_documented(rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    operators = {route for route in routes if " /admin/" in route}
    assert documented_routes(OPERATORS) == operators
    assert documented_routes(CALLERS) == routes - FILES - operators


def test_real_answers_have_the_documented_shape(broker: BrokerServer, alice: httpx2.Client) -> None:
    with broker.client() as anyone:
        signed_in = anyone.post("/auth/login", json={"username": "alice", "password": PASSWORD}).json()
    with alice:
        token = alice.post("/token").json()
        session = f"/sessions/{token['session']['id']}"
        callers = {
            "### POST /auth/login": signed_in,
            "### POST /token": token,
            "### GET /me": alice.get("/me").json(),
            "### GET /profiles": alice.get("/profiles").json(),
            "### POST /sessions/{id}/heartbeat": alice.post(f"{session}/heartbeat").json(),
            "### POST /sessions/{id}/end": alice.post(f"{session}/end").json(),
        }
    with broker.client("olga") as olga:
        (user,) = olga.get("/admin/users", params={"query": "alice"}).json()["users"]
        sessions = olga.get("/admin/sessions", params={"state": "all", "limit": 1, "user": user["key"]})
        operators = {
            "### GET /admin/users/{key}": olga.get(f"/admin/users/{user['key']}").json(),
            "### GET /admin/sessions": {**sessions.json(), "next": None},
            "### GET /admin/overview": olga.get("/admin/overview").json(),
        }
    operators["### GET /admin/overview"]["spending"]["projected"] = "1.00"  # null on the first day of a month
    for page, answers in ((CALLERS, callers), (OPERATORS, operators)):
        documented = {heading: shape(shown(page, heading)) for heading in answers}
        assert documented == {heading: shape(answer) for heading, answer in answers.items()}


def test_a_real_error_has_the_documented_members(broker: BrokerServer) -> None:
    """The comparison leaves out members that only some errors have."""
    (example,) = code_blocks_of(section(CALLERS, "## Errors"), "json")
    with broker.client() as anyone:
        answer = anyone.post("/token")
    sometimes = {"retry_after_seconds", "violated-policies", "hint", "fields"}
    documented = {key for key in json.loads(example) if key not in sometimes}
    assert {key for key in answer.json() if key not in sometimes} == documented
    assert answer.headers["content-type"] == "application/problem+json"
