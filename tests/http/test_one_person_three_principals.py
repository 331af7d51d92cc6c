"""One person with a password, an external token and a service key is three principals, as documented.

Neither case nor Unicode form joins them by accident, nor a subject that contains another issuer's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from broker.parts import parts_of
from broker.principal import KEY_ISSUER, principal_key
from broker.store.database.tables import principals, sessions
from tests.http.conftest import MakeApp, bearer
from tests.support.issuers import KeyServer, claims, entry, signer
from tests.support.keys import make_key

RSA = signer("rsa")


@pytest.fixture(scope="module")
def key_server() -> Iterator[KeyServer]:
    with KeyServer() as server:
        server.publish("/keys", [RSA])
        yield server


@pytest.fixture
def issuer(key_server: KeyServer) -> str:
    return f"{key_server.url}/issuer"


@pytest.fixture
def app(make_app: MakeApp, key_server: KeyServer, issuer: str) -> Flask:
    return make_app(toml=entry("app", issuer, f"{key_server.url}/keys"))


def external(issuer: str, subject: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {RSA.token(claims(issuer, sub=subject))}"}


def owners(app: Flask) -> set[tuple[str, str]]:
    with parts_of(app).database.read() as connection:
        rows = connection.execute(
            select(principals.c.issuer, principals.c.subject).join(
                sessions, sessions.c.principal_key == principals.c.key
            )
        )
        return {(row.issuer, row.subject) for row in rows}


def test_three_credential_types_are_three_principals(app: Flask, issuer: str) -> None:
    client = app.test_client(use_cookies=False)
    made = make_key(app, on_behalf_of="any")
    key = {"X-API-Key": made.secret}
    ways: list[tuple[dict[str, str], dict[str, Any]]] = [
        (bearer(app, "alice"), {}),
        (external(issuer, "alice"), {}),
        (key, {"on_behalf_of": "alice"}),
    ]
    opened = []
    for headers, body in ways:
        answer = client.post("/token", json=body, headers=headers)
        assert answer.status_code == 200
        assert answer.get_json()["limits"]["rate"][0]["remaining"] == 999
        opened.append(answer.get_json()["session"]["id"])
    assert owners(app) == {
        ("live-broker", "alice"),
        (issuer, "alice"),
        (f"{KEY_ISSUER}:{made.key.id}", "alice"),
    }
    for mine, (headers, _) in zip(opened, ways, strict=True):
        for session in opened:
            answer = client.post(f"/sessions/{session}/heartbeat", headers=headers)
            assert answer.status_code == (200 if session == mine else 404)


@pytest.mark.parametrize(
    "subject",
    [
        "Alice",
        "\N{CYRILLIC SMALL LETTER A}lice",
        "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}",
        "Zoe\N{COMBINING DIAERESIS}",
        "live-broker:alice",
        "live-broker:key:abc",
    ],
    ids=ascii,
)
def test_external_subject_is_compared_exactly(app: Flask, issuer: str, subject: str) -> None:
    """An issuer may use both forms for two people, so its subjects are never normalized."""
    client = app.test_client(use_cookies=False)
    for headers in (external(issuer, subject), bearer(app, "alice")):
        assert client.post("/token", headers=headers).status_code == 200
    assert owners(app) == {(issuer, subject), ("live-broker", "alice")}


def test_each_split_of_the_same_text_is_another_principal() -> None:
    pairs = [
        ("live-broker:key", "abc:u1"),
        ("live-broker:key:abc", "u1"),
        ("live-broker", "key:abc:u1"),
        ("live-broker:key:abc:u1", ""),
        ("15:live-broker", "key:abc:u1"),
    ]
    assert len({principal_key(issuer, subject) for issuer, subject in pairs}) == len(pairs)
