"""Password sign-in, the properties of its cookie, and sign-out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from broker.identity.sign_ins import IDLE, LIFETIME
from broker.parts import parts_of
from broker.store.database.tables import users
from tests.http.conftest import ORIGIN, MakeApp, bearer
from tests.support.servers import PASSWORD

Page = tuple[FlaskClient, dict[str, str]]


def sign_in(client: FlaskClient, username: str = "alice", password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/auth/login", json={"username": username, "password": password}, **more)


def block(app: Flask, username: str) -> None:
    database = parts_of(app).database
    with database.write() as connection:
        now = database.now(connection)
        connection.execute(update(users).where(users.c.username == username).values(blocked_at=now))


def test_bearer_token_of_a_sign_in_works(client: FlaskClient) -> None:
    body = sign_in(client).get_json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    me = client.get("/me", headers={"Authorization": f"bearer {body['access_token']}"}).get_json()
    assert me["principal"] == {"issuer": "live-broker", "subject": "alice"}
    assert (me["name"], me["plan"], me["roles"]) == ("alice", "default", [])


def test_user_name_ignores_case_and_surrounding_spaces(client: FlaskClient) -> None:
    body = sign_in(client, " Alice ").get_json()
    me = client.get("/me", headers={"Authorization": f"Bearer {body['access_token']}"}).get_json()
    assert me["principal"]["subject"] == "alice"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong password"),
        ("nobody", PASSWORD),
        ("\N{GREEK CAPITAL LETTER ALPHA}lice", PASSWORD),
        ("alice\0", PASSWORD),
    ],
)
def test_unknown_user_and_wrong_password_get_the_same_answer(
    client: FlaskClient, username: str, password: str
) -> None:
    answer = sign_in(client, username, password)
    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (401, "bad-login")
    assert body["detail"] == "The username or the password is wrong."
    assert "Set-Cookie" not in answer.headers


def test_cookie_over_tls_is_bound_to_the_host(client: FlaskClient) -> None:
    cookie = sign_in(client, base_url="https://voice.example").headers["Set-Cookie"]
    assert cookie.startswith("__Host-live-broker=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}


def test_plain_http_beyond_loopback_gets_a_secure_cookie(client: FlaskClient) -> None:
    assert "Secure" in sign_in(client, base_url="http://voice.example").headers["Set-Cookie"]


def test_new_sign_in_replaces_the_browsers_previous_one(app: Flask) -> None:
    browser = app.test_client()
    sign_in(browser)
    before = browser.get_cookie("live-broker")
    sign_in(browser)
    after = browser.get_cookie("live-broker")
    assert before is not None
    assert after is not None
    assert after.value != before.value
    assert browser.get("/me").status_code == 200
    browser.set_cookie("live-broker", before.value)
    assert browser.get("/me").status_code == 401


def test_failed_sign_in_keeps_the_existing_one(page: Page) -> None:
    browser, _ = page
    assert sign_in(browser, "alice", "wrong password").status_code == 401
    assert browser.get("/me").status_code == 200


class ManualClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def test_idle_sign_in_expires(make_app: MakeApp) -> None:
    clock = ManualClock()
    browser = make_app(clock=clock).test_client()
    sign_in(browser)
    for _ in range(3):
        clock.now += IDLE - timedelta(seconds=1)
        assert browser.get("/me").status_code == 200
    clock.now += IDLE
    assert browser.get("/me").status_code == 401


def test_sign_in_in_constant_use_also_expires(make_app: MakeApp) -> None:
    clock = ManualClock()
    browser = make_app(clock=clock).test_client()
    sign_in(browser)
    end = clock.now + LIFETIME
    while clock.now + timedelta(hours=1) < end:
        clock.now += timedelta(hours=1)
        assert browser.get("/me").status_code == 200
    clock.now = end
    assert browser.get("/me").status_code == 401


def test_each_sign_in_has_its_own_id(client: FlaskClient) -> None:
    cookies = {sign_in(client).headers["Set-Cookie"].split(";")[0] for _ in range(3)}
    assert len(cookies) == 3


def test_cookie_with_csrf_token_mints(page: Page) -> None:
    browser, headers = page
    assert browser.post("/token", headers=headers).status_code == 200


def test_reloaded_page_gets_its_csrf_token_again(page: Page) -> None:
    browser, headers = page
    assert browser.get("/me").get_json()["csrf_token"] == headers["X-CSRF-Token"]


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"X-CSRF-Token": None}, 403, "csrf-failed"),
        ({"X-CSRF-Token": "0" * 64}, 403, "csrf-failed"),
        ({"X-CSRF-Token": "é"}, 403, "csrf-failed"),
        ({"Origin": None}, 403, "csrf-failed"),
        ({"Origin": None, "Sec-Fetch-Site": "same-site"}, 403, "csrf-failed"),
        ({"Origin": "http://evil.example"}, 403, "origin-forbidden"),
        ({"Origin": "http://localhost:81"}, 403, "origin-forbidden"),
        ({"Origin": "null"}, 403, "origin-forbidden"),
        ({"Authorization": "Bearer abc"}, 400, "bad-request"),
        ({"X-API-Key": "abc"}, 400, "bad-request"),
    ],
)
def test_cookie_alone_changes_nothing(
    page: Page, changed: dict[str, str | None], status: int, code: str
) -> None:
    browser, headers = page
    sent = {name: value for name, value in {**headers, **changed}.items() if value is not None}
    answer = browser.post("/token", headers=sent)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


def test_csrf_token_of_another_sign_in_is_rejected(app: Flask, page: Page) -> None:
    other = sign_in(app.test_client(), "bob").get_json()["csrf_token"]
    browser, headers = page
    assert browser.post("/token", headers={**headers, "X-CSRF-Token": other}).status_code == 403


def test_sign_out_ends_the_sign_in_on_the_server(app: Flask, page: Page) -> None:
    browser, headers = page
    kept = browser.get_cookie("live-broker")
    assert kept is not None
    assert browser.post("/auth/logout", headers=headers).status_code == 204
    assert browser.get_cookie("live-broker") is None
    thief = app.test_client()
    thief.set_cookie("live-broker", kept.value)
    answer = thief.get("/me")
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid-token")
    assert thief.get_cookie("live-broker") is None


def test_block_applies_to_the_next_request(app: Flask, page: Page) -> None:
    browser, headers = page
    held = bearer(app)
    block(app, "alice")
    for answer in (
        browser.post("/token", headers=headers),
        app.test_client().post("/token", headers=held),
        sign_in(app.test_client()),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (403, "account-blocked")


def test_guessing_from_one_address_is_throttled(make_app: MakeApp) -> None:
    client = make_app().test_client(use_cookies=False)
    answers = [sign_in(client, f"somebody-{n}") for n in range(21)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert answers[-1].get_json()["code"] == "login-throttled"
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert sign_in(client).status_code == 429
    assert sign_in(client, environ_base={"REMOTE_ADDR": "127.0.0.9"}).status_code == 200


def test_address_behind_trusted_proxies_is_the_last_untrusted_hop(make_app: MakeApp) -> None:
    client = make_app(env={"BROKER_TRUSTED_PROXIES": "127.0.0.0/8 10.0.0.1"}).test_client(use_cookies=False)
    for n in range(20):
        spoofed = {"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.7, 10.0.0.1"}
        assert sign_in(client, f"somebody-{n}", headers=spoofed).status_code == 401
    again = {"X-Forwarded-For": "203.0.113.7"}
    assert sign_in(client, headers=again).status_code == 429
    assert sign_in(client, headers={"X-Forwarded-For": "203.0.113.8"}).status_code == 200


def test_brokers_own_origin_may_sign_in(client: FlaskClient) -> None:
    assert sign_in(client, headers={"Origin": ORIGIN}).status_code == 200
