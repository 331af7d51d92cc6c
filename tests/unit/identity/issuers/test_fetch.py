"""Fetching keys from a real HTTP server that misbehaves in many ways."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpcore2
import pytest

from broker.identity.issuers.fetch import MAX_BYTES, load
from broker.identity.issuers.jwks import KeySetRefused
from broker.settings import IssuerSpec
from tests.support.issuers import KeyServer, signer

KEY = signer("rsa")


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer() as running:
        running.publish("/keys", [KEY])
        yield running


def spec(server: KeyServer, **changed: Any) -> IssuerSpec:
    where = {} if changed.get("discover") else {"jwks_url": f"{server.url}/keys"}
    return IssuerSpec.model_validate(
        {"name": "test", "issuer": f"{server.url}/realm", "audience": "voice", **where, **changed}
    )


def test_published_keys_are_loaded(server: KeyServer) -> None:
    assert set(load(spec(server))) == {"rsa"}


@pytest.mark.parametrize("slash", ["", "/"])
def test_address_of_the_keys_is_discovered(server: KeyServer, slash: str) -> None:
    issuer = f"{server.url}/realm{slash}"
    document = {"issuer": issuer, "jwks_uri": f"{server.url}/keys"}
    server.answers["/realm/.well-known/openid-configuration"] = document
    assert set(load(spec(server, issuer=issuer, discover=True))) == {"rsa"}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"issuer": "https://another.example", "jwks_uri": "URL/keys"},
        {"issuer": "URL/realm/", "jwks_uri": "URL/keys"},
        {"issuer": "URL/realm"},
        {"issuer": "URL/realm", "jwks_uri": 1},
        {"issuer": "URL/realm", "jwks_uri": "http://another.example/keys"},
        {"issuer": "URL/realm", "jwks_uri": "file:///etc/passwd"},
    ],
)
def test_discovery_document_of_another_issuer_or_address_is_refused(server: KeyServer, document: Any) -> None:
    text = json.dumps(document).replace("URL", server.url)
    server.answers["/realm/.well-known/openid-configuration"] = text.encode()
    with pytest.raises(KeySetRefused):
        load(spec(server, discover=True))
    assert "/keys" not in server.asked


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 401, 404, 500])
def test_keys_come_from_a_200_only_and_redirects_are_not_followed(server: KeyServer, status: int) -> None:
    server.publish("/elsewhere", [KEY])
    server.status = status
    server.headers = {"Location": f"{server.url}/elsewhere"}
    with pytest.raises((KeySetRefused, httpcore2.ProtocolError)):
        load(spec(server))
    assert server.asked == ["/keys"]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"keys":' * 20_000, b"null", b'{"keys":[]}',
     b"x" * (MAX_BYTES + 1)],
    ids=["empty", "HTML", "not UTF-8", "deep list", "deep object", "null", "no keys", "too large"],
)  # fmt: skip
def test_body_that_is_not_a_key_set_is_refused(server: KeyServer, body: bytes) -> None:
    server.answers["/keys"] = body
    with pytest.raises(KeySetRefused):
        load(spec(server))


def test_compressed_body_is_refused(server: KeyServer) -> None:
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(KeySetRefused, match="compressed"):
        load(spec(server))


def test_deadline_ends_a_slow_server(server: KeyServer) -> None:
    server.drip_seconds = 0.2
    started = time.monotonic()
    with pytest.raises(httpcore2.TimeoutException):
        load(spec(server))
    assert time.monotonic() - started < 10


def test_missing_server_is_a_connection_error(server: KeyServer) -> None:
    with pytest.raises(httpcore2.ConnectError):
        load(spec(server, jwks_url="http://127.0.0.1:9/keys"))
