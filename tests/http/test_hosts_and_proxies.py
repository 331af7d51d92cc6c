"""The client behind proxies, and the host names under which the broker answers, in every spelling."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from tests.http.conftest import MakeApp
from tests.support.servers import PASSWORD

TRUSTED = {"BROKER_TRUSTED_PROXIES": "10.0.0.0/8 unix"}


def sign_in(client: FlaskClient, password: str, peer: str, forwarded_for: str) -> int:
    answer = client.post(
        "/auth/login",
        json={"username": "alice", "password": password},
        headers={"X-Forwarded-For": forwarded_for},
        environ_base={"REMOTE_ADDR": peer},
    )
    return answer.status_code


def test_clients_behind_proxies_are_told_apart(make_app: MakeApp) -> None:
    """The same client by different peers and spellings has one throttle, and another client has its own."""
    client = make_app(env=TRUSTED).test_client(use_cookies=False)
    ways = [
        ("::ffff:10.0.0.7", "203.0.113.9"),
        ("10.0.0.7", "203.0.113.9:51234"),
        ("", "::ffff:203.0.113.9, 10.0.0.8:80"),
        ("::ffff:10.0.0.7", '"203.0.113.9:443", ::ffff:10.0.0.8'),
        ("10.0.0.7", "198.51.100.1, 203.0.113.9"),
    ]
    assert [sign_in(client, "wrong", *way) for way in ways] == [401] * 5
    assert sign_in(client, PASSWORD, "10.0.0.7", "203.0.113.9") == 429
    assert sign_in(client, PASSWORD, "", "203.0.113.10") == 200


@pytest.mark.parametrize(
    "host",
    [
        "voice.example",
        "Voice.EXAMPLE",
        "voice.example.",
        "voice.example:443",
        "voice.example.:8443",
        "[0::1]:80",
    ],
)
def test_spellings_of_a_trusted_host(make_app: MakeApp, host: str) -> None:
    env = {"BROKER_TRUSTED_HOSTS": "Voice.Example. [::1]"}
    client = make_app(env=env).test_client()
    assert client.get("/openapi.json", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "voice.example.evil", "xvoice.example", "", "a b", "10.1.2.3"]
)
def test_other_host_is_rejected_and_the_reason_is_logged(make_app: MakeApp, host: str) -> None:
    client = make_app(env={"BROKER_TRUSTED_HOSTS": "voice.example"}).test_client()
    with capture_logs() as lines:
        answer = client.get("/openapi.json", headers={"Host": host})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad-request")
    (reason,) = [line["reason"] for line in lines if line["event"] == "request"]
    assert "Host" in reason


def test_subdomains_of_a_dotted_name_are_trusted(make_app: MakeApp) -> None:
    client = make_app(env={"BROKER_TRUSTED_HOSTS": ".voice.example"}).test_client()
    statuses = [
        client.get("/openapi.json", headers={"Host": host}).status_code
        for host in ("voice.example", "EU.voice.example:443", "notvoice.example")
    ]
    assert statuses == [200, 200, 400]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", ["10.1.2.3:8080", "[fd00::7]:8080", "kubelet", None])
def test_probes_answer_by_any_name(make_app: MakeApp, path: str, host: str | None) -> None:
    client = make_app(env={"BROKER_TRUSTED_HOSTS": "voice.example"}).test_client()
    how: dict[str, Any] = {"headers": {"Host": host}} if host else {"environ_overrides": {"HTTP_HOST": ""}}
    assert client.get(path, **how).status_code == 200


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://voice.example", "voice.example:443", 200),
        ("https://voice.example", "VOICE.example.", 200),
        ("https://voice.example:8443", "voice.example:8443", 200),
        ("http://[::1]:8080", "[0:0:0:0:0:0:0:1]:8080", 200),
        ("https://voice.example", "voice.example:8443", 403),
        ("https://voice.example.evil", "voice.example", 403),
        ("https://voice.example@evil", "voice.example", 403),
        ("https://", "voice.example", 403),
    ],
)
def test_page_of_this_host_in_every_spelling(make_app: MakeApp, origin: str, host: str, status: int) -> None:
    client = make_app(env={"BROKER_TRUSTED_HOSTS": "voice.example [::1]"}).test_client()
    body = {"username": "alice", "password": PASSWORD}
    answer = client.post("/auth/login", json=body, headers={"Host": host, "Origin": origin})
    assert answer.status_code == status


def test_hsts_behind_a_proxy_that_ends_tls(make_app: MakeApp) -> None:
    client = make_app(env=TRUSTED).test_client()

    def is_sent(peer: str, scheme: str, path: str = "/healthz") -> bool:
        answer = client.get(path, headers={"X-Forwarded-Proto": scheme}, environ_base={"REMOTE_ADDR": peer})
        return "Strict-Transport-Security" in answer.headers

    assert is_sent("10.0.0.7", "https")
    assert is_sent("::ffff:10.0.0.7", "https", "/me")
    assert is_sent("", "https", "/")
    assert not is_sent("10.0.0.7", "http")
    assert not is_sent("203.0.113.7", "https")


def test_loopback_is_recognized_in_every_spelling(make_app: MakeApp) -> None:
    """Guests of this machine only: a dual-stack listener, and names as browsers may send them."""
    app = make_app(toml='[guests]\nenabled = true\naddress_rate = "100/hour"\n')
    client = app.test_client(use_cookies=False)
    for peer, host in (
        ("::ffff:127.0.0.1", "LOCALHOST:8080"),
        ("127.0.0.1", "localhost."),
        ("::1", "127.0.0.1:8080"),
    ):
        headers = {"Host": host, "Sec-Fetch-Site": "same-origin"}
        answer = client.get("/me", headers=headers, environ_base={"REMOTE_ADDR": peer})
        assert answer.status_code == 200
        assert answer.headers["Set-Cookie"].startswith("live-broker=guest."), "not the name for TLS"
