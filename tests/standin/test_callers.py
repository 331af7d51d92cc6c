"""Foreign pages: no page may control the stand-in, and only pages and names of this machine may use it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

import pytest

from broker.standin import StandIn
from tests.standin.client import address, call, mint, opened, session, token

CONTROLS = [
    ("POST", "reset"),
    ("POST", "reset-scenarios"),
    ("POST", "scenario"),
    ("POST", "push"),
    ("GET", "received"),
    ("GET", "sent"),
    ("GET", "received/audio"),
    ("GET", "sent/audio"),
    ("GET", "health"),
]
PAGES: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://evil.example:9090", "Host": "evil.example:9090"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "file://"},
    {"Host": "evil.example"},
    {"Host": "localhost.evil.example:9090"},
    {"Host": "127.0.0.1@evil.example"},
    {"Host": ""},
]
NAMES = [
    "127.0.0.1:9",
    "localhost",
    "LOCALHOST:9090",
    "localhost.",
    "[::1]:9090",
    "127.9.9.9",
    "a.localhost:1",
]


def ask(standin: StandIn, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(standin.url.removeprefix("http://"), timeout=10)
    sent = {"Content-Type": "application/json", "x-goog-api-key": "test-key", **headers}
    connection.request(method, path, b"{}" if method == "POST" else None, sent)
    response = connection.getresponse()
    status, body = response.status, response.read()
    connection.close()
    return status, body


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_foreign_page_controls_reads_and_mints_nothing(standin: StandIn, page: dict[str, str]) -> None:
    with session(standin) as talker:
        standin.control.scenario("mint-status", status=429)
        for method, name in CONTROLS:
            status, body = ask(standin, method, f"/_standin/{name}", page)
            assert status == 403, name
            assert list(json.loads(body)) == ["error"]
        assert ask(standin, "POST", "/v1alpha/auth_tokens", page)[0] == 403
        assert ask(standin, "GET", "/v1beta/models", page)[0] == 403
        received = standin.control.received()
        assert len(received["mints"]) == len(received["connections"]) == 1
        assert mint(standin)[0] == 429, "the scenario is still on"
        talker.text("hello")
        talker.turn()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_foreign_page_opens_no_socket(standin: StandIn, page: dict[str, str]) -> None:
    path = address(standin, f"?access_token={token(standin)}").removeprefix(standin.url.replace("http", "ws"))
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert ask(standin, "GET", path, {**upgrade, **key, **page})[0] == 403
    assert not standin.control.received()["connections"]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin"])
def test_page_without_an_origin_header_controls_nothing(standin: StandIn, site: str) -> None:
    assert ask(standin, "GET", "/_standin/received", {"Sec-Fetch-Site": site})[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8080", "http://localhost:3000", "capacitor://localhost"]
)
def test_page_of_this_machine_mints_and_connects_but_controls_nothing(standin: StandIn, origin: str) -> None:
    assert ask(standin, "POST", "/_standin/reset", {"Origin": origin})[0] == 403
    assert ask(standin, "POST", "/v1alpha/auth_tokens", {"Origin": origin})[0] == 200
    with opened(address(standin, f"?access_token={token(standin)}"), origin=origin) as talker:
        talker.send({"setup": {"model": "models/unknown"}})
        assert talker.closing()[0] == 1008


@pytest.mark.parametrize("name", NAMES)
def test_every_loopback_name_is_served(standin: StandIn, name: str) -> None:
    assert ask(standin, "GET", "/_standin/health", {"Host": name})[0] == 200
    assert ask(standin, "POST", "/v1alpha/auth_tokens", {"Host": name})[0] == 200
    status, _, _ = call(f"{standin.url}/_standin/reset", {}, method="POST")
    assert status == 200
