"""Headers of a gateway and cookies of a neighbour: they are not our credentials, and we leave them alone."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.http.conftest import ORIGIN, MakeApp, bearer
from tests.http.test_guests import SAME, guests
from tests.support.servers import PASSWORD

GATEWAYS = [
    "Basic Z2F0ZTp3YXk=",
    "basic Z2F0ZTp3YXk=",
    'Digest username="gate", realm="way", nonce="x", response="y"',
    "Negotiate",
    "AWS4-HMAC-SHA256 Credential=x/20261130/eu/execute-api/aws4_request, SignedHeaders=host, Signature=y",
    "Token abc",
]


@pytest.mark.parametrize("scheme", GATEWAYS)
def test_page_works_behind_a_gateway(
    page: tuple[FlaskClient, dict[str, str]], client: FlaskClient, scheme: str
) -> None:
    browser, headers = page
    gateway = {"Authorization": scheme}
    assert browser.get("/me", headers=gateway).get_json()["principal"]["subject"] == "alice"
    assert browser.post("/token", headers={**headers, **gateway}).status_code == 200
    assert client.post("/token", headers=gateway).get_json()["code"] == "missing-credentials"
    body = {"username": "bob", "password": PASSWORD}
    assert client.post("/auth/login", json=body, headers=gateway).status_code == 200


def test_guest_may_come_through_a_gateway(make_app: MakeApp) -> None:
    browser = make_app(toml=guests()).test_client()
    assert browser.get("/me", headers={**SAME, "Authorization": GATEWAYS[0]}).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer a b", "Basic abc,Bearer def", "Bearer a, Basic b", "a.b.c"],
)
def test_malformed_bearer_is_refused_with_and_without_a_cookie(
    page: tuple[FlaskClient, dict[str, str]], client: FlaskClient, authorization: str
) -> None:
    browser, headers = page
    for answer in (
        browser.post("/token", headers={**headers, "Authorization": authorization}),
        client.post("/token", headers={"Authorization": authorization}),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (400, "bad-request")


def sign_in(browser: FlaskClient, name: str) -> dict[str, str]:
    answer = browser.post("/auth/login", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200
    return {"X-CSRF-Token": answer.get_json()["csrf_token"], "Origin": ORIGIN}


def move(one: FlaskClient, other: FlaskClient) -> None:
    """Browsers share the cookies of a host between its ports."""
    for jar in ("live-broker", *[cookie.key for cookie in (one._cookies or {}).values()]):
        cookie = one.get_cookie(jar)
        if cookie is None:
            other.delete_cookie(jar)
        else:
            other.set_cookie(jar, cookie.value)


def test_two_brokers_on_one_host_keep_their_own_sign_ins(make_app: MakeApp) -> None:
    first, second = make_app().test_client(), make_app().test_client()
    of_first = sign_in(first, "alice")
    move(first, second)
    foreign = second.get("/me")
    assert (foreign.status_code, foreign.get_json()["code"]) == (401, "missing-credentials")
    assert "Set-Cookie" not in foreign.headers
    of_second = sign_in(second, "bob")
    assert second.get("/me").get_json()["principal"]["subject"] == "bob"
    move(second, first)
    assert first.get("/me").get_json()["principal"]["subject"] == "alice"
    assert first.post("/auth/logout", headers=of_first).status_code == 204
    move(first, second)
    assert second.post("/token", headers=of_second).status_code == 200
    assert second.post("/auth/logout", headers=of_second).status_code == 204
    assert second.get("/me").status_code == 401


def test_guest_of_a_neighbour_is_nobody_here(make_app: MakeApp) -> None:
    first, second = make_app(toml=guests()).test_client(), make_app(toml=guests()).test_client()
    theirs = first.get("/me", headers=SAME).get_json()["principal"]
    move(first, second)
    answer = second.get("/me", headers=SAME)
    assert answer.status_code == 200
    assert answer.get_json()["principal"] != theirs
    move(second, first)
    assert first.get("/me", headers=SAME).get_json()["principal"] == theirs


def test_cookie_without_a_mark_is_of_an_earlier_version(app: Flask) -> None:
    browser = app.test_client()
    sign_in(browser, "alice")
    cookie = browser.get_cookie("live-broker")
    assert cookie is not None
    browser.set_cookie("live-broker", cookie.value.partition("~")[0])
    assert browser.get("/me").status_code == 200
    browser.set_cookie("live-broker", "unknown")
    assert browser.get("/me").get_json()["code"] == "invalid-token"
    assert browser.get_cookie("live-broker") is None


def test_cookie_counts_only_on_our_own_pages(make_app: MakeApp) -> None:
    app = make_app(env={"BROKER_ALLOWED_ORIGINS": "https://app.example capacitor://localhost"})
    browser = app.test_client()
    sign_in(browser, "alice")
    for origin in ("https://app.example", "capacitor://localhost"):
        answer = browser.get("/me", headers={"Origin": origin})
        assert (answer.status_code, answer.get_json()["code"]) == (403, "csrf-failed")
        assert app.test_client().get("/me", headers={"Origin": origin, **bearer(app)}).status_code == 200
