"""The shipped site files in real nginx and Caddy: TLS, HTTP/2, the client's address, the prefix /voice/."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.deploy.proxies import Answer, Proxy, caddy, nginx
from tests.support.servers import PASSWORD, BrokerServer

FAILED_SIGN_INS = 5


@pytest.fixture(scope="module")
def behind(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    hosts = {"BROKER_TRUSTED_HOSTS": "voice.example localhost 127.0.0.1"}
    server = make_broker(standin.url, workers=1, env={"BROKER_TRUSTED_PROXIES": "127.0.0.1", **hosts})
    server.add_user("alice")
    server.add_user("bob")
    return server


@pytest.fixture(scope="module", params=[nginx, caddy])
def proxy(
    request: pytest.FixtureRequest, behind: BrokerServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    with request.param(tmp_path_factory.mktemp("proxy"), behind.port) as running:
        yield running


def test_page_and_its_files_arrive_over_http_2(proxy: Proxy) -> None:
    page = proxy.ask("/")
    assert (page.status, page.version) == (200, "HTTP/2")
    assert page.headers["strict-transport-security"] == "max-age=31536000"
    (script,) = re.findall(r'<script type="module" src="([^"]+)"', page.body)
    answer = proxy.ask(script, headers={"Accept-Encoding": "br"})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/javascript")
    assert answer.headers["cache-control"] == "max-age=31536000, immutable"


@pytest.mark.parametrize("prefix", ["", "/voice"])
def test_one_session_from_its_token_to_its_end(proxy: Proxy, behind: BrokerServer, prefix: str) -> None:
    headers = {"Authorization": f"Bearer {behind.bearer('alice')}", "Origin": proxy.origin}
    answer = proxy.ask(f"{prefix}/token", {}, headers)
    assert (answer.status, answer.version) == (200, "HTTP/2"), answer.body
    session = answer.json["session"]["id"]
    assert proxy.ask(f"{prefix}/sessions/{session}/heartbeat", {}, headers).status == 200
    assert proxy.ask(f"{prefix}/sessions/{session}/end", {}, headers).json["state"] == "ended"


def test_the_library_is_served_under_the_prefix(proxy: Proxy) -> None:
    answer = proxy.ask("/voice/live/index.js")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")


def test_clients_cannot_choose_their_address(proxy: Proxy) -> None:
    """Failed sign-ins of one client count together, whatever it claims, and not for another client."""
    one, other = (f"127.0.{proxy.port % 250 + 1}.{last}" for last in (2, 3))
    for number in range(FAILED_SIGN_INS):
        claimed = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
        assert _sign_in(proxy, "wrong", one, claimed).status == 401
    assert _sign_in(proxy, PASSWORD, one, {"X-Forwarded-For": "203.0.113.99"}).status == 429
    assert _sign_in(proxy, PASSWORD, other, {}).status == 200


def _sign_in(proxy: Proxy, password: str, client: str, headers: dict[str, str]) -> Answer:
    body = {"username": "bob", "password": password}
    return proxy.ask("/auth/login", body, {"Origin": proxy.origin, **headers}, client=client)


def test_too_large_a_body_does_not_reach_the_broker(proxy: Proxy) -> None:
    """Caddy 2.6 answers 502, newer versions 413."""
    assert proxy.ask("/token", "x" * 1_100_000).status in (413, 502)
