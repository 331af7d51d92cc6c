"""Browser sign-in with an external issuer, when the browser, the provider or the network is hostile."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import sub
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from broker.identity import jws
from broker.identity.oidc.client import MAX_EXCHANGES
from broker.identity.oidc.errors import Outcome
from broker.identity.oidc.flow import LIFETIME_SECONDS, Flows
from broker.identity.signing import derive
from broker.parts import parts_of
from broker.store.database.tables import audit, sign_ins
from tests.docs.markdown import ROOT
from tests.http.conftest import MakeApp, block_admin, count_audited, user_admin
from tests.support.hostile_provider import HostileProvider
from tests.support.http_server import json_answer
from tests.support.issuers import b64, claims, signer
from tests.support.provider import entry

FAKE = "/auth/oidc/fake"
GOLD = """
[plans.gold]
rate = "1000/minute"
sessions = 5
minutes_per_day = 600
session_minutes = 30
"""
FAILED, EXPIRED, UNAVAILABLE = (
    "/?sign-in=sign-in-failed",
    "/?sign-in=sign-in-expired",
    "/?sign-in=sign-in-unavailable",
)


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with HostileProvider() as running:
        yield running


@pytest.fixture
def app(make_app: MakeApp, provider: HostileProvider) -> Flask:
    return make_app(toml=entry("fake", provider.url, plan_claim="plan"))


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()


def begin(browser: FlaskClient, path: str = FAKE, **more: Any) -> str:
    """Presses the button. Returns the address that the browser is sent to."""
    answer = browser.get(path, **more)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def come_back(browser: FlaskClient, path: str = FAKE, **params: str) -> TestResponse:
    return browser.get(f"{path}/callback", query_string=params)


def sign_in(browser: FlaskClient, provider: HostileProvider, **changed: str) -> TestResponse:
    return come_back(browser, **{**provider.authorize(begin(browser)), **changed})


def is_signed_in(browser: FlaskClient) -> bool:
    return browser.get("/me").status_code == 200


def refused(answer: TestResponse, location: str) -> bool:
    """Asserts that the browser is sent to a broker page with an error code, and not signed in."""
    assert (answer.status_code, answer.headers["Location"]) == (303, location)
    assert not any(cookie.startswith("live-broker=") for cookie in answer.headers.getlist("Set-Cookie"))
    assert answer.data == b""
    return True


def flow_cookies(browser: FlaskClient) -> list[str]:
    cookies = browser._cookies or {}  # Werkzeug has no public list of them
    return [cookie.key for cookie in cookies.values() if "-flow-" in cookie.key]


def bearer_of(provider: HostileProvider, **changed: Any) -> dict[str, str]:
    """A token of the provider for our API."""
    token = provider.signer.token(claims(provider.url, aud="an-api", **changed))
    return {"Authorization": f"Bearer {token}"}


def with_rules(provider: HostileProvider, rules: dict[str, Any]) -> str:
    """The provider's entry with further keys. The values may be tables."""
    lines = [
        f"{rule} = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in wanted.items())} }}"
        if isinstance(wanted, dict)
        else f"{rule} = {json.dumps(wanted)}"
        for rule, wanted in rules.items()
    ]
    return entry("fake", provider.url) + "\n".join(lines) + "\n"


# ---- expected flow -------------------------------------------------------------------------------------


def test_authorization_request_uses_pkce_and_reveals_no_secret(
    browser: FlaskClient, provider: HostileProvider
) -> None:
    address = begin(browser)
    asked = dict(parse_qsl(urlsplit(address).query))
    assert address.startswith(f"{provider.url}/authorize?")
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert (asked["client_id"], asked["scope"]) == ("client-of-fake", "openid profile")
    assert asked["redirect_uri"] == "http://localhost/auth/oidc/fake/callback"
    assert all(len(asked[name]) == 43 for name in ("state", "nonce", "code_challenge"))
    assert len({asked[name] for name in ("state", "nonce", "code_challenge")}) == 3
    come_back(browser, **provider.authorize(address))
    headers, form = provider.posted[-1]
    assert form["grant_type"] == "authorization_code"
    assert form["code_verifier"] not in address
    assert (form["client_id"], "Authorization" in headers) == ("client-of-fake", False)


def test_sign_in_yields_the_issuers_principal_and_is_audited(
    app: Flask, browser: FlaskClient, provider: HostileProvider
) -> None:
    provider.claims = {"plan": "default"}
    answer = sign_in(browser, provider)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    me = browser.get("/me").get_json()
    assert me["principal"] == {"issuer": provider.url, "subject": "user-1"}
    assert (me["name"], me["plan"], me["roles"]) == ("Ada", "default", [])
    minted = browser.post("/token", headers={"X-CSRF-Token": me["csrf_token"], "Origin": "http://localhost"})
    assert minted.status_code == 200
    with parts_of(app).database.read() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.action, audit.c.outcome)).all()
    assert (f"{provider.url}:user-1", "sign-in", "ok") in [tuple(row) for row in rows]


@pytest.mark.parametrize(
    "rules",
    [
        {"bearer_claims": {"scp": "voice"}, "id_token_claims": {"email_verified": True}},
        {"required_claims": {"scp": "voice"}, "id_token_claims": {"email_verified": True}},
        {"bearer_claims": {"scp": "voice"}, "required_claims": {"email_verified": [True, "yes"]}},
        {
            "bearer_claims": {"scp": "voice", "typ": "Bearer"},
            "id_token_claims": {"email_verified": [True], "typ": "ID"},
        },
    ],
    ids=["own rules", "a scope for both", "a common rule", "another value for each"],
)
def test_one_entry_serves_bearers_and_sign_in_with_rules_of_their_own(
    make_app: MakeApp, provider: HostileProvider, rules: dict[str, Any]
) -> None:
    app = make_app(toml=with_rules(provider, rules))
    said = {"scp": "openid voice", "typ": "Bearer", "email_verified": "yes"}
    client = app.test_client(use_cookies=False)
    assert client.get("/me", headers=bearer_of(provider, **said)).status_code == 200
    assert client.get("/me", headers=bearer_of(provider, **{**said, "scp": "openid"})).status_code == 401
    browser = app.test_client()
    provider.claims = {"email_verified": False, "typ": "ID"}
    assert refused(sign_in(browser, provider), FAILED)
    provider.claims = {"email_verified": True, "typ": "ID"}
    assert sign_in(browser, provider).headers["Location"] == "/"
    assert is_signed_in(browser)


class SteppedClock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize(
    ("rules", "hours"),
    [
        ({}, 12),
        ({"plan_claim": "plan"}, 1),
        ({"operator_claim": "roles", "operator_values": ["admin"]}, 1),
        ({"plan_claim": "plan", "plans": {"pro": "gold"}}, 1),
    ],
    ids=["no rights", "plan", "role", "mapped plan"],
)
def test_sign_in_that_carries_rights_ends_after_an_hour(
    make_app: MakeApp, provider: HostileProvider, rules: dict[str, Any], hours: int
) -> None:
    clock = SteppedClock()
    browser = make_app(toml=GOLD + with_rules(provider, rules), clock=clock).test_client()
    answer = sign_in(browser, provider)
    assert any(f"Max-Age={hours * 3600};" in cookie for cookie in answer.headers.getlist("Set-Cookie"))
    for _ in range(hours):
        clock.now += timedelta(minutes=59)
        assert is_signed_in(browser)
    clock.now += timedelta(minutes=hours)
    assert not is_signed_in(browser)


def test_next_sign_in_of_a_person_changes_the_plan_in_every_browser(
    make_app: MakeApp, provider: HostileProvider
) -> None:
    rules = {"plan_claim": "plan", "operator_claim": "roles", "operator_values": ["admin"]}
    app = make_app(toml=GOLD + with_rules(provider, rules))
    first, second, other = (app.test_client() for _ in range(3))

    def rights(browser: FlaskClient) -> tuple[str, list[str]]:
        me = browser.get("/me").get_json()
        return me["plan"], me["roles"]

    provider.claims = {"plan": "gold", "roles": ["admin"]}
    sign_in(first, provider)
    provider.claims = {"plan": "gold", "roles": ["admin"], "sub": "user-2"}
    sign_in(other, provider)
    assert rights(first) == ("gold", ["operator"])
    provider.claims = {}
    sign_in(second, provider)
    assert rights(first) == rights(second) == ("default", [])
    assert first.get("/admin/users").status_code == 403
    assert rights(other) == ("gold", ["operator"])


@pytest.mark.parametrize(
    ("later", "plan"),
    [
        ({"plan_claim": "plan"}, "gold"),
        ({"plan_claim": "plan", "plans": {"pro": "gold"}}, "gold"),
        ({"plan_claim": "plan", "plans": {"pro": "default"}}, "default"),
        ({}, "default"),
    ],
    ids=["the same", "the plan by another name", "another mapping", "no plan claim"],
)
def test_plan_that_the_entry_no_longer_gives_ends_with_the_restart(
    make_app: MakeApp, provider: HostileProvider, later: dict[str, Any], plan: str
) -> None:
    first = make_app(toml=GOLD + with_rules(provider, {"plan_claim": "plan"}))
    browser = first.test_client()
    provider.claims = {"plan": "gold"}
    sign_in(browser, provider)
    cookie = browser.get_cookie("live-broker")
    assert cookie is not None
    settings = parts_of(first).settings
    env = {
        "BROKER_DATABASE_URL": settings.database_url.get_secret_value(),
        "BROKER_SECRET_KEY": settings.secret_key.get_secret_value(),
    }
    page = make_app(toml=GOLD + with_rules(provider, later), env=env).test_client()
    page.set_cookie("live-broker", cookie.value)
    assert page.get("/me").get_json()["plan"] == plan


@pytest.mark.parametrize(
    ("length", "passes"), [(8_500, True), (11_000, True), (16_000, True), (17_000, False)]
)
def test_long_id_token_signs_in(
    browser: FlaskClient, provider: HostileProvider, length: int, passes: bool
) -> None:
    """As of an account with many groups."""
    provider.claims = {"groups": ["x" * 36] * (length * 3 // 4 // 40 - 10)}
    answer = sign_in(browser, provider)
    assert (len(provider.given[-1]) <= jws.MAX_ID_TOKEN_LENGTH) is passes
    assert passes or refused(answer, FAILED)
    assert is_signed_in(browser) is passes


def test_sign_in_has_a_new_id_and_ends_the_previous_one(
    app: Flask, browser: FlaskClient, provider: HostileProvider
) -> None:
    sign_in(browser, provider)
    first = browser.get_cookie("live-broker")
    sign_in(browser, provider)
    second = browser.get_cookie("live-broker")
    assert first is not None
    assert second is not None
    assert first.value != second.value
    thief = app.test_client()
    thief.set_cookie("live-broker", first.value)
    assert not is_signed_in(thief)
    with parts_of(app).database.read() as connection:
        assert len(connection.execute(select(sign_ins)).all()) == 1


def test_cookies_over_tls_are_bound_to_the_host(browser: FlaskClient, provider: HostileProvider) -> None:
    answer = browser.get(FAKE, base_url="https://voice.example")
    address = answer.headers["Location"]
    assert "redirect_uri=https%3A%2F%2Fvoice.example%2Fauth%2Foidc%2Ffake%2Fcallback" in address
    params = provider.authorize(address)
    back = browser.get(f"{FAKE}/callback", query_string=params, base_url="https://voice.example")
    for cookie in answer.headers.getlist("Set-Cookie") + back.headers.getlist("Set-Cookie"):
        assert cookie.startswith("__Host-live-broker")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {
            part.strip() for part in cookie.split(";")
        }


def test_redirect_uri_is_https_behind_a_tls_proxy(browser: FlaskClient) -> None:
    asked = parse_qs(urlsplit(begin(browser, base_url="http://voice.example")).query)
    assert asked["redirect_uri"] == ["https://voice.example/auth/oidc/fake/callback"]


def test_flow_cookie_holds_nothing_that_a_provider_accepts(
    browser: FlaskClient, provider: HostileProvider
) -> None:
    answer = browser.get(FAKE)
    asked = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    cookie = answer.headers["Set-Cookie"]
    assert f"Max-Age={LIFETIME_SECONDS};" in cookie
    come_back(browser, **provider.authorize(answer.headers["Location"]))
    kept = [asked["state"], asked["nonce"], provider.posted[-1][1]["code_verifier"]]
    assert not [value for value in kept if value in cookie]


def test_unfinished_sign_ins_leave_at_most_four_cookies(
    browser: FlaskClient, provider: HostileProvider
) -> None:
    addresses = [begin(browser) for _ in range(12)]
    assert len(flow_cookies(browser)) == 4
    assert refused(come_back(browser, **provider.authorize(addresses[0])), EXPIRED)
    assert come_back(browser, **provider.authorize(addresses[-1])).headers["Location"] == "/"


# ---- the browser's side ---------------------------------------------------------------------------------


def test_callback_without_this_browsers_state_is_refused(
    app: Flask, browser: FlaskClient, provider: HostileProvider
) -> None:
    good = provider.authorize(begin(browser))
    for changed in ({"state": "0" * 43}, {"state": ""}, {"state": good["state"][:-1]}, {"state": "\0\ufffd"}):
        assert refused(come_back(browser, **{**good, **changed}), EXPIRED)
    without = {name: value for name, value in good.items() if name != "state"}
    assert refused(come_back(browser, **without), EXPIRED)
    other = app.test_client()
    assert refused(come_back(other, **good), EXPIRED)
    begin(other)
    assert refused(come_back(other, **good), EXPIRED)
    assert provider.posted == [], "no code was sent anywhere"
    assert come_back(browser, **good).headers["Location"] == "/", "the valid callback still works"


def test_cookie_of_another_flow_is_rejected(browser: FlaskClient, provider: HostileProvider) -> None:
    """The attacker's flow has the name of the victim's cookie. The name only locates the flow."""
    victims = provider.authorize(begin(browser))
    name = flow_cookies(browser)[0]
    stranger = browser.application.test_client()
    begin(stranger)
    theirs = stranger.get_cookie(flow_cookies(stranger)[0])
    assert theirs is not None
    browser.set_cookie(name, theirs.value)
    assert refused(come_back(browser, **victims), EXPIRED)
    assert provider.posted == []


@pytest.mark.parametrize("forge", ["mac", "payload", "none", "empty", "bytes"])
def test_forged_flow_cookie_is_rejected(browser: FlaskClient, provider: HostileProvider, forge: str) -> None:
    good = provider.authorize(begin(browser))
    name = flow_cookies(browser)[0]
    cookie = browser.get_cookie(name)
    assert cookie is not None
    payload, _, mac = cookie.value.partition(".")
    evil = {"i": "fake", "r": "https://evil.example/", "e": 2**40, "s": b64(b"0" * 32)}
    forged = {
        "mac": f"{payload}.{mac[:-2]}AA",
        "payload": f"{b64(json.dumps(evil).encode())}.{mac}",
        "none": payload,
        "empty": "",
        "bytes": "\u00e9.\u00e9",
    }
    browser.set_cookie(name, forged[forge])
    assert refused(come_back(browser, **good), EXPIRED)
    assert provider.posted == []


def test_flow_expires_after_ten_minutes(app: Flask, browser: FlaskClient, provider: HostileProvider) -> None:
    parts = parts_of(app)
    key = derive(parts.settings.secret_key.get_secret_value(), "oidc-flow")
    for age, location in ((LIFETIME_SECONDS - 60, FAILED), (LIFETIME_SECONDS + 1, EXPIRED)):
        flow = Flows(key, partial(sub, time.time(), age)).begin("fake", "/")
        browser.set_cookie(f"live-broker-flow-{flow.id}", flow.cookie)
        answer = come_back(browser, code="of-nobody", state=flow.state, iss=provider.url)
        assert refused(answer, location)


def test_callback_works_once_even_if_the_cookie_is_restored(
    browser: FlaskClient, provider: HostileProvider
) -> None:
    good = provider.authorize(begin(browser))
    name = flow_cookies(browser)[0]
    cookie = browser.get_cookie(name)
    assert cookie is not None
    assert come_back(browser, **good).headers["Location"] == "/"
    assert flow_cookies(browser) == []
    browser.set_cookie(name, cookie.value)
    assert refused(come_back(browser, **good), EXPIRED)
    browser.set_cookie(name, cookie.value)
    fresh = {**good, "code": "another"}
    assert refused(come_back(browser, **fresh), EXPIRED)
    assert len(provider.posted) == 1


def test_one_of_many_concurrent_callbacks_succeeds(
    app: Flask, browser: FlaskClient, provider: HostileProvider
) -> None:
    good = provider.authorize(begin(browser))
    cookie = browser.get_cookie(flow_cookies(browser)[0])
    assert cookie is not None
    found: list[str] = []

    def one() -> None:
        tab = app.test_client()
        tab.set_cookie(cookie.key, cookie.value)
        found.append(come_back(tab, **good).headers["Location"])

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["/"] + [EXPIRED] * 7
    assert len(provider.posted) == 1


def test_repeated_parameter_is_refused(browser: FlaskClient, provider: HostileProvider) -> None:
    for name in ("code", "iss", "error"):
        good = provider.authorize(begin(browser))
        query = "&".join(f"{key}={quote(value)}" for key, value in good.items()) + f"&{name}=x&{name}=y"
        assert refused(browser.get(f"{FAKE}/callback?{query}"), FAILED)
    assert provider.posted == []


def test_cross_site_page_cannot_start_a_sign_in(browser: FlaskClient) -> None:
    for site in ("cross-site", "same-site"):
        answer = browser.get(FAKE, headers={"Sec-Fetch-Site": site})
        assert (answer.status_code, answer.get_json()["code"]) == (403, "origin-forbidden")
        assert "Set-Cookie" not in answer.headers
    for site in ("same-origin", "none"):
        begin(browser, headers={"Sec-Fetch-Site": site})


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/",
        "HTTPS:evil.example", "javascript:alert(1)", "data:text/html,x", "/%2Fevil.example",
        "/%5Cevil.example",
        "%2F%2Fevil.example", "/..//evil.example", "/./", "/ops/", "/ops?x=1", "/#x", "/@evil.example", "",
        " /", "/ ", "/\t/evil.example", "/\r\nSet-Cookie: a=b", "/\0", "ops", "/OPS", "/token",
        "/auth/logout",
        "http://localhost/", "//localhost/", "/\u2215evil.example",
    ],
)  # fmt: skip
def test_return_to_accepts_only_broker_pages(browser: FlaskClient, path: str) -> None:
    answer = browser.get(FAKE, query_string={"return_to": path})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad-request")
    assert "Location" not in answer.headers
    assert "evil" not in answer.text


def test_return_to_is_kept_in_the_flow_and_allowed_once(
    browser: FlaskClient, provider: HostileProvider
) -> None:
    both = browser.get(f"{FAKE}?return_to=/&return_to=//evil.example")
    assert both.status_code == 400
    address = begin(browser, f"{FAKE}?return_to=/ops")
    params = {**provider.authorize(address), "return_to": "//evil.example"}
    assert come_back(browser, **params).headers["Location"] == "/ops"


def test_issuers_without_browser_sign_in_have_no_routes(make_app: MakeApp, provider: HostileProvider) -> None:
    watched = entry("watched", provider.url, mode="audit")
    plain = entry("plain", "http://127.0.0.1:9", client_id=None)
    browser = make_app(toml=watched + plain).test_client()
    for name in ("watched", "plain", "nobody", "..", "fake%2f..", "x" * 300):
        for path in (f"/auth/oidc/{name}", f"/auth/oidc/{name}/callback"):
            answer = browser.get(path)
            assert (answer.status_code, answer.get_json()["code"]) == (404, "not-found")
    page = browser.get("/").text
    assert "/auth/oidc/" not in page


# ---- mixed-up issuers and flows -------------------------------------------------------------------------


@pytest.fixture
def two(make_app: MakeApp, provider: HostileProvider) -> Iterator[tuple[FlaskClient, HostileProvider]]:
    """A browser of a broker with two issuers, and the second issuer, which belongs to the attacker."""
    with HostileProvider("client-of-evil") as evil:
        toml = entry("fake", provider.url) + entry("evil", evil.url)
        yield make_app(toml=toml).test_client(), evil


def test_code_is_never_sent_to_another_issuer(
    two: tuple[FlaskClient, HostileProvider], provider: HostileProvider
) -> None:
    """Mix-up attack: the browser starts at one issuer and returns to the callback of the other."""
    browser, evil = two
    good = provider.authorize(begin(browser))
    assert refused(come_back(browser, "/auth/oidc/evil", **good), EXPIRED)
    at_evil = evil.authorize(begin(browser, "/auth/oidc/evil"))
    assert refused(come_back(browser, FAKE, **at_evil), EXPIRED)
    honest_code = {**at_evil, "code": good["code"], "iss": provider.url}
    assert refused(come_back(browser, "/auth/oidc/evil", **honest_code), FAILED)
    assert provider.posted == evil.posted == []


def test_callback_must_name_its_issuer(browser: FlaskClient, provider: HostileProvider) -> None:
    for iss in ("https://evil.example", provider.url + "/", provider.url.upper(), ""):
        assert refused(sign_in(browser, provider, iss=iss), FAILED)
    params = provider.authorize(begin(browser))
    del params["iss"]
    assert refused(come_back(browser, **params), FAILED), "this issuer promises to send iss always"
    params = {"state": provider.authorize(begin(browser))["state"], "error": "access_denied"}
    assert refused(come_back(browser, **params), FAILED), "also in its errors"
    assert provider.posted == []


def test_iss_is_optional_if_the_discovery_document_says_so(
    make_app: MakeApp, provider: HostileProvider
) -> None:
    provider.document = {"authorization_response_iss_parameter_supported": False}
    browser = make_app(toml=entry("fake", provider.url)).test_client()
    params = provider.authorize(begin(browser))
    del params["iss"]
    assert come_back(browser, **params).headers["Location"] == "/"


def test_code_of_another_flow_is_rejected(
    app: Flask, browser: FlaskClient, provider: HostileProvider
) -> None:
    """The attacker's code arrives in the victim's callback. PKCE stops it; without PKCE, the nonce does."""
    stranger = app.test_client()
    stolen = provider.authorize(begin(stranger))["code"]
    assert refused(sign_in(browser, provider, code=stolen), FAILED)
    provider.holds_to_pkce = False
    stolen = provider.authorize(begin(stranger))["code"]
    assert refused(sign_in(browser, provider, code=stolen), FAILED)
    assert not is_signed_in(browser)


def test_removing_the_pkce_challenge_does_not_help(browser: FlaskClient, provider: HostileProvider) -> None:
    """Without the challenge, the provider still receives a verifier and refuses (RFC 9700, 2.1.1)."""
    address = re.sub(r"&code_challenge(_method)?=[^&]+", "", begin(browser))
    assert "code_challenge" not in address
    assert refused(come_back(browser, **provider.authorize(address)), FAILED)
    assert provider.posted[-1][1]["code_verifier"]


# ---- the provider's side --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "location"),
    [
        ({"error": "access_denied"}, "/?sign-in=sign-in-cancelled"),
        ({"error": "server_error"}, UNAVAILABLE),
        ({"error": "temporarily_unavailable"}, UNAVAILABLE),
        ({"error": "invalid_scope", "error_description": "canary-words"}, FAILED),
        ({"error": "<script>alert(1)</script>"}, FAILED),
        ({"error": ""}, FAILED),
        (
            {"error": "access_denied", "code": "x", "error_uri": "https://evil.example"},
            "/?sign-in=sign-in-cancelled",
        ),
        ({}, FAILED),
        ({"code": ""}, FAILED),
        ({"code": "a b"}, FAILED),
        ({"code": "\u00e9"}, FAILED),
        ({"code": "x" * 3001}, FAILED),
    ],
)
def test_provider_errors_become_the_brokers_own_codes(
    browser: FlaskClient, provider: HostileProvider, said: dict[str, str], location: str
) -> None:
    state = provider.authorize(begin(browser))["state"]
    assert refused(come_back(browser, state=state, iss=provider.url, **said), location)
    assert provider.posted == []


def deep() -> bytes:
    return b"[" * 100_000


@pytest.mark.parametrize(
    ("answer", "location"),
    [
        (json_answer({"error": "invalid_grant"}, 400), FAILED),
        (json_answer({"error": "invalid_client", "error_description": "words \u00e9 \""}, 401), FAILED),
        (json_answer({"error": ["x"], "error_description": 5}, 400), FAILED),
        (json_answer({"error": "invalid_grant", "error_description": 5}, 200), FAILED),
        ((400, {}, b"<html>"), FAILED),
        ((404, {}, b""), FAILED),
        (json_answer({}), FAILED),
        (json_answer({"access_token": "x"}), FAILED),
        (json_answer({"access_token": "x", "id_token": 5}), FAILED),
        (json_answer({"access_token": "x", "id_token": "a.b.c"}), FAILED),
        (json_answer({"access_token": "x", "id_token": "x" * 9000}), FAILED),
        (json_answer({"access_token": "x", "expires_in": "soon", "token_type": {}}), FAILED),
        (json_answer({"error": "x"}, 500), UNAVAILABLE),
        (json_answer({}, 429), UNAVAILABLE),
        (json_answer([1]), UNAVAILABLE),
        ((200, {"Content-Type": "text/html"}, b"<html>canary-words</html>"), UNAVAILABLE),
        ((200, {}, b""), UNAVAILABLE),
        ((200, {}, b"\xff\xfe"), UNAVAILABLE),
        ((200, {}, deep()), UNAVAILABLE),
        ((200, {}, b'{"x": "' + b"x" * 200_000 + b'"}'), UNAVAILABLE),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 10_000_000 + b"{}")), UNAVAILABLE),
        ((200, {"Content-Length": "99999"}, b"{}"), UNAVAILABLE),
        ((204, {}, b""), UNAVAILABLE),
        ((302, {"Location": "/token"}, b"{}"), UNAVAILABLE),
        ((307, {"Location": "/token"}, b"{}"), UNAVAILABLE),
    ],
)  # fmt: skip
def test_bad_answer_of_the_token_endpoint_signs_no_one_in(
    browser: FlaskClient, provider: HostileProvider, answer: Any, location: str
) -> None:
    provider.answer = lambda: answer
    provider_closes = answer[1].get("Content-Length") == "99999"
    if provider_closes:
        provider.drip_seconds = 0.001
    assert refused(sign_in(browser, provider), location)
    assert len(provider.posted) == 1, "neither repeated nor followed"
    assert not is_signed_in(browser)


def none_algorithm(claims: dict[str, Any]) -> str:
    header = {"alg": "none", "typ": "JWT", "kid": "provider"}
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}."


def by_our_public_key(claims: dict[str, Any]) -> str:
    public = signer("provider").private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "provider"}).encode())
    signed = f"{head}.{b64(json.dumps(claims).encode())}"
    return f"{signed}.{b64(jwt.get_algorithm_by_name('HS256').sign(signed.encode(), pem))}"


def by_a_stranger(claims: dict[str, Any]) -> str:
    return signer("stranger").token(claims, kid="provider")


Setup = Callable[[HostileProvider], None]


def says(**claims: Any) -> Setup:
    return lambda provider: provider.claims.update(claims)


def signed(by: Callable[[dict[str, Any]], str]) -> Setup:
    return lambda provider: setattr(provider, "sign", by)


def heads(**header: Any) -> Setup:
    return lambda provider: provider.header.update(header)


NOW = int(time.time())


@pytest.mark.parametrize(
    "wrong",
    [
        says(nonce="0" * 43), says(nonce=...), says(nonce=""), says(nonce=None), says(nonce=["x"]),
        says(aud="client-of-somebody"), says(aud="an-api"), says(aud=...), says(aud=[]), says(aud=5),
        says(aud=["client-of-fake", "client-of-b"]), says(aud=["client-of-b"], azp="client-of-fake"),
        says(azp="client-of-b"), says(aud=["client-of-fake", "b"], azp="b"), says(azp=["client-of-fake"]),
        says(at_hash="0" * 22), says(at_hash=5), says(at_hash=b64(b"0" * 32)),
        says(iss="https://evil.example"), says(iss="live-broker"), says(iss=...),
        says(exp=NOW - 3600, iat=NOW - 4000), says(exp="9999999999"), says(exp=...), says(iat=...),
        says(iat=NOW + 3600, exp=NOW + 4000), says(exp=NOW + 10**7), says(nbf=NOW + 3600), says(exp=1e300),
        says(sub=...), says(sub=""), says(sub="a\0b"), says(sub=5), says(sub="x" * 256),
        signed(none_algorithm), signed(by_our_public_key), signed(by_a_stranger),
        heads(kid="unknown"), heads(kid=...), heads(typ="at+jwt"), heads(jwk={}), heads(jku="https://evil.example/"),
        heads(alg="PS256"), heads(crit=["x"]),
    ],
)  # fmt: skip
def test_invalid_id_token_signs_no_one_in(
    browser: FlaskClient, provider: HostileProvider, wrong: Setup
) -> None:
    wrong(provider)
    assert refused(sign_in(browser, provider), FAILED)
    assert not is_signed_in(browser)


@pytest.mark.parametrize(
    "right", [says(azp="client-of-fake"), says(aud=["client-of-fake"]), says(at_hash=...)]
)
def test_id_token_may_vary_in_optional_claims(
    browser: FlaskClient, provider: HostileProvider, right: Setup
) -> None:
    right(provider)
    assert sign_in(browser, provider).headers["Location"] == "/"


def test_id_token_is_not_a_bearer_token_for_the_api(
    app: Flask, browser: FlaskClient, provider: HostileProvider
) -> None:
    sign_in(browser, provider)
    with_token = {"Authorization": f"Bearer {provider.given[-1]}"}
    assert app.test_client().get("/me", headers=with_token).get_json()["code"] == "invalid-token"


def test_blocked_principal_gets_account_blocked(
    app: Flask, browser: FlaskClient, provider: HostileProvider
) -> None:
    block_admin(app).block("user-1", provider.url)
    assert refused(sign_in(browser, provider), "/?sign-in=account-blocked")


def test_block_ends_existing_sign_ins(app: Flask, browser: FlaskClient, provider: HostileProvider) -> None:
    sign_in(browser, provider)
    block_admin(app).block("user-1", provider.url)
    assert not is_signed_in(browser)
    assert refused(sign_in(browser, provider), "/?sign-in=account-blocked")


def test_sign_out_everywhere_requires_a_newer_id_token(
    app: Flask, browser: FlaskClient, provider: HostileProvider
) -> None:
    user_admin(app).sign_out("user-1", provider.url)
    provider.claims = {"iat": int(time.time()) - 60}
    assert refused(sign_in(browser, provider), FAILED)
    provider.claims = {"iat": int(time.time()) + 5}
    assert sign_in(browser, provider).headers["Location"] == "/"


def test_guessing_codes_from_one_address_is_throttled(
    browser: FlaskClient, provider: HostileProvider
) -> None:
    locations = [sign_in(browser, provider, code="guess").headers["Location"] for _ in range(21)]
    assert locations == [FAILED] * 20 + ["/?sign-in=login-throttled"]
    assert len(provider.posted) == 20
    assert count_audited(browser.application, actor="address:127.0.0.1", outcome="sign-in-failed") == 20


def test_hanging_provider_holds_few_threads_and_only_briefly(app: Flask, provider: HostileProvider) -> None:
    provider.drip_seconds = 0.2
    tabs = [app.test_client() for _ in range(MAX_EXCHANGES + 3)]
    provider.drip_seconds = 0
    ready = [provider.authorize(begin(tab)) for tab in tabs]
    provider.answer = lambda: json_answer({"x": "x" * 500})
    provider.drip_seconds = 0.2
    took: list[float] = []

    def one(tab: FlaskClient, params: dict[str, str]) -> None:
        started = time.monotonic()
        assert come_back(tab, **params).headers["Location"] == UNAVAILABLE
        took.append(time.monotonic() - started)

    threads = [threading.Thread(target=one, args=pair) for pair in zip(tabs, ready, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == len(tabs)
    assert len(provider.posted) <= MAX_EXCHANGES
    assert max(took) < 20, "each has 5 s in all, however slowly the bytes drip"


# ---- discovery ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"}, {"issuer": None}, {"token_endpoint": None},
        {"authorization_endpoint": 5},
        {"token_endpoint": "http://evil.example/token"}, {"authorization_endpoint": "http://evil.example/"},
        {"authorization_endpoint": "javascript:alert(1)"}, {"authorization_endpoint": "//evil.example/"},
        {"authorization_endpoint": "https://user:pass@evil.example/"},
        {"authorization_endpoint": "https://evil.example\r\nSet-Cookie: a=b"},
    ],
)  # fmt: skip
def test_invalid_discovery_document_makes_sign_in_unavailable(
    make_app: MakeApp, provider: HostileProvider, document: dict[str, Any]
) -> None:
    provider.document = document
    browser = make_app(toml=entry("fake", provider.url)).test_client()
    assert refused(browser.get(FAKE), UNAVAILABLE)
    assert flow_cookies(browser) == []


@pytest.mark.parametrize(
    "discovery",
    [(500, {}, b"{}"), (302, {"Location": "/elsewhere"}, b""), (200, {}, b"<html>"), (200, {}, deep()),
     (200, {}, b" " * 200_000)],
)  # fmt: skip
def test_failed_discovery_makes_sign_in_unavailable_and_is_retried_later(
    make_app: MakeApp, provider: HostileProvider, discovery: Any
) -> None:
    provider.discovery = discovery
    browser = make_app(toml=entry("fake", provider.url)).test_client()
    before = len(provider.asked)
    for _ in range(5):
        assert refused(browser.get(f"{FAKE}?return_to=/ops"), "/ops?sign-in=sign-in-unavailable")
    ours = [path for path in provider.asked[before:] if path.startswith("/.well-known")]
    assert len(ours) <= 2, "one for the sign-in, and perhaps one of the key cache"


def test_unreachable_provider_affects_no_other_route(make_app: MakeApp) -> None:
    browser = make_app(toml=entry("fake", "http://127.0.0.1:9")).test_client()
    assert refused(browser.get(FAKE), UNAVAILABLE)
    assert browser.get("/readyz").status_code == 200
    assert 'href="/auth/oidc/fake?return_to=/"' in browser.get("/").text


def test_configured_endpoints_need_no_discovery(make_app: MakeApp, provider: HostileProvider) -> None:
    provider.discovery = (500, {}, b"")
    given = {"authorization_endpoint": f"{provider.url}/authorize", "token_endpoint": f"{provider.url}/token"}
    keys = {"discover": False, "jwks_url": f"{provider.url}/keys"}
    browser = make_app(toml=entry("fake", provider.url, **given, **keys)).test_client()
    assert sign_in(browser, provider).headers["Location"] == "/"
    assert not [path for path in provider.asked if path.startswith("/.well-known")]


def test_client_secret_is_sent_as_the_token_endpoint_accepts_it(
    make_app: MakeApp, provider: HostileProvider
) -> None:
    env = {"BROKER_OIDC_FAKE_SECRET": "shown only there"}
    toml = entry("fake", provider.url, client_secret_env="FAKE")
    assert sign_in(make_app(toml=toml, env=env).test_client(), provider).headers["Location"] == "/"
    headers, form = provider.posted[-1]
    assert headers["Authorization"].startswith("Basic ")
    assert "client_secret" not in form
    provider.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert sign_in(make_app(toml=toml, env=env).test_client(), provider).headers["Location"] == "/"
    headers, form = provider.posted[-1]
    assert (form["client_secret"], "Authorization" in headers) == ("shown only there", False)


# ---- the page -------------------------------------------------------------------------------------------


def test_page_has_a_message_for_each_code(app: Flask) -> None:
    table = (ROOT / "web/demo/errors.js").read_text()
    docs = (ROOT / "docs/issuers.md").read_text()
    for code in [*Outcome, "account-blocked", "login-throttled"]:
        assert f"'{code}': row(" in table
        assert f"| `{code}` |" in docs


def test_page_reports_whether_a_cookie_is_present_and_is_not_cached(
    browser: FlaskClient, provider: HostileProvider
) -> None:
    before = browser.get("/")
    assert 'data-signed-in="no"' in before.text
    sign_in(browser, provider)
    after = browser.get("/")
    assert 'data-signed-in="perhaps"' in after.text
    assert before.headers["Cache-Control"] == after.headers["Cache-Control"] == "no-store"


def test_label_is_escaped_as_text(make_app: MakeApp, provider: HostileProvider) -> None:
    page = make_app(toml=entry("fake", provider.url, label='<b title="x">&')).test_client().get("/").text
    assert "Continue with &lt;b title=&#34;x&#34;&gt;&amp;" in page
