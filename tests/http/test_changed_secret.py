"""Another BROKER_SECRET_KEY ends all that the earlier one vouched for, unless it is kept as the previous."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from broker.http.credentials import CSRF_HEADER
from broker.parts import parts_of
from broker.principal import Principal
from tests.http.conftest import ORIGIN, MakeApp, bearer
from tests.support.keys import make_key
from tests.support.servers import PASSWORD

FIRST, SECOND, THIRD = (secrets.token_urlsafe(48) for _ in range(3))
IDP = "https://idp.example/"
TOML = f"""
[guests]
enabled = true
[[issuers]]
name = "idp"
issuer = "{IDP}"
audience = "app"
jwks_url = "http://127.0.0.1:9/keys"
"""
SAME = {"Sec-Fetch-Site": "same-origin"}


def password_page(app: Flask) -> dict[str, str]:
    browser = app.test_client()
    assert browser.post("/auth/login", json={"username": "alice", "password": PASSWORD}).status_code == 200
    return {"Cookie": cookie_of(browser)}


def issuer_page(app: Flask) -> dict[str, str]:
    cookie = parts_of(app).sign_ins.open(Principal(IDP, "u-1", "Eve", "default")).cookie
    return {"Cookie": f"live-broker={cookie}"}


def guest_page(app: Flask) -> dict[str, str]:
    browser = app.test_client()
    assert browser.get("/me", headers=SAME).status_code == 200
    return {"Cookie": cookie_of(browser)}


def service_key(app: Flask) -> dict[str, str]:
    return {"X-API-Key": make_key(app, f"shop-{secrets.token_hex(4)}").secret}


def cookie_of(browser: FlaskClient) -> str:
    cookie = browser.get_cookie("live-broker")
    assert cookie is not None
    return f"live-broker={cookie.value}"  # without SAME, nobody who lacks a credential becomes a guest


CREDENTIALS: dict[str, Callable[[Flask], dict[str, str]]] = {
    "a page signed in with a password": password_page,
    "a page signed in at an issuer": issuer_page,
    "a guest": guest_page,
    "a bearer": bearer,
    "a service key": service_key,
}


@pytest.mark.parametrize("credential", CREDENTIALS.values(), ids=CREDENTIALS)
def test_changed_secret_ends_every_credential_and_a_rotated_one_ends_none(
    make_app: MakeApp, credential: Callable[[Flask], dict[str, str]]
) -> None:
    first = make_app(toml=TOML, env={"BROKER_SECRET_KEY": FIRST})
    headers = credential(first)
    same = {"BROKER_DATABASE_URL": parts_of(first).settings.database_url.get_secret_value()}

    def status(current: str, previous: str | None = None) -> int:
        rotated = {"BROKER_SECRET_KEY_PREVIOUS": previous} if previous else {}
        app = make_app(toml=TOML, env={**same, **rotated, "BROKER_SECRET_KEY": current})
        return app.test_client(use_cookies=False).get("/me", headers=headers).status_code

    assert status(FIRST) == 200
    assert status(SECOND) == 401, "after a leak"
    assert status(THIRD, SECOND) == 401, "after a second rotation"
    assert status(SECOND, FIRST) == 200, "after a rotation"


def test_sign_in_of_the_previous_secret_can_be_used_and_ended(make_app: MakeApp) -> None:
    first = make_app(env={"BROKER_SECRET_KEY": FIRST})
    headers = password_page(first)
    same = {"BROKER_DATABASE_URL": parts_of(first).settings.database_url.get_secret_value()}
    rotated = make_app(env={**same, "BROKER_SECRET_KEY": SECOND, "BROKER_SECRET_KEY_PREVIOUS": FIRST})
    client = rotated.test_client(use_cookies=False)
    csrf = client.get("/me", headers=headers).get_json()["csrf_token"]
    change = {**headers, CSRF_HEADER: csrf, "Origin": ORIGIN}
    assert client.post("/token", headers=change).status_code == 200
    assert client.post("/auth/logout", headers=change).status_code == 204
    assert client.get("/me", headers=headers).status_code == 401
    assert first.test_client(use_cookies=False).get("/me", headers=headers).status_code == 401
