"""Guests: off by default, bound to a cookie and an address, and no replacement for a bad credential."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from broker.http.credentials import CSRF_HEADER
from broker.operators.blocks import BlockAdmin
from broker.parts import parts_of
from broker.principal import GUEST_ISSUER
from broker.settings import SettingsError, load
from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.http.conftest import ORIGIN, MakeApp, bearer
from tests.support import warm_python
from tests.support.environment import environment, write_config
from tests.support.servers import PASSWORD, free_port

SAME = {"Sec-Fetch-Site": "same-origin"}
OTHER_ADDRESS = {"REMOTE_ADDR": "127.0.0.9"}
NETWORK = {"REMOTE_ADDR": "203.0.113.7"}


def guests(extra: str = "", *, rate: str = "1000/hour") -> str:
    return f'[guests]\nenabled = true\naddress_rate = "{rate}"\n{extra}\n'


@pytest.fixture
def open_app(make_app: MakeApp) -> Flask:
    return make_app(toml=guests())


def new_guest(app: Flask, **how: Any) -> tuple[FlaskClient, dict[str, str]]:
    """Returns a browser that opened the page, and the headers that the page adds."""
    browser = app.test_client()
    me = browser.get("/me", headers=SAME, **how)
    assert me.status_code == 200
    return browser, {CSRF_HEADER: me.get_json()["csrf_token"], "Origin": ORIGIN}


def result(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json().get("code", "")


def cookie_of(browser: FlaskClient) -> str:
    cookie = browser.get_cookie("live-broker")
    assert cookie is not None
    return str(cookie.value)


def test_guests_are_off_by_default(app: Flask) -> None:
    browser = app.test_client()
    assert result(browser.get("/me", headers=SAME)) == (401, "missing-credentials")
    assert browser.get_cookie("live-broker") is None
    assert "Try without" not in browser.get("/").text


def test_guest_can_use_the_page(open_app: Flask) -> None:
    assert "Try without signing in" in open_app.test_client().get("/").text
    browser, headers = new_guest(open_app)
    first = browser.get("/me").get_json()
    assert first["principal"]["issuer"] == GUEST_ISSUER
    assert (first["name"], first["plan"], first["roles"]) == ("Guest", "default", [])
    answer = browser.post("/token", headers=headers)
    assert answer.status_code == 200
    session = f"/sessions/{answer.get_json()['session']['id']}"
    assert browser.post(f"{session}/token", headers=headers).status_code == 200
    assert browser.post(f"{session}/heartbeat", headers=headers).status_code == 200
    assert browser.get("/me").get_json()["principal"] == first["principal"]
    assert browser.get("/profiles").status_code == 200
    assert browser.delete(session, headers=headers).status_code == 200


def test_guest_cookie_is_hidden_from_scripts_and_other_sites(open_app: Flask) -> None:
    answer = open_app.test_client().get("/me", headers=SAME)
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {
        part.strip() for part in answer.headers["Set-Cookie"].split(";")
    }


def test_two_browsers_are_two_guests(open_app: Flask) -> None:
    one, headers = new_guest(open_app)
    two, _ = new_guest(open_app)
    subjects = {browser.get("/me").get_json()["principal"]["subject"] for browser in (one, two)}
    assert len(subjects) == 2
    session = one.post("/token", headers=headers).get_json()["session"]["id"]
    _, others = two, {CSRF_HEADER: two.get("/me").get_json()["csrf_token"], "Origin": ORIGIN}
    assert result(two.delete(f"/sessions/{session}", headers=others)) == (404, "session-unknown")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}],
)
def test_only_the_brokers_page_gets_a_guest(open_app: Flask, headers: dict[str, str]) -> None:
    browser = open_app.test_client()
    assert result(browser.get("/me", headers=headers)) == (401, "missing-credentials")
    assert browser.get_cookie("live-broker") is None


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/token"), ("GET", "/profiles"), ("POST", "/auth/logout")]
)
def test_only_get_me_creates_a_guest(open_app: Flask, method: str, path: str) -> None:
    answer = open_app.test_client().open(path, method=method, headers={**SAME, "Origin": ORIGIN})
    assert result(answer) == (401, "missing-credentials")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({CSRF_HEADER: None}, "csrf-failed"),
        ({CSRF_HEADER: "0" * 64}, "csrf-failed"),
        ({"Origin": None}, "csrf-failed"),
        ({"Origin": "http://evil.example"}, "origin-forbidden"),
        ({"Origin": "null"}, "origin-forbidden"),
        ({"Origin": None, "Sec-Fetch-Site": "cross-site"}, "csrf-failed"),
    ],
)
def test_cookie_alone_changes_nothing(open_app: Flask, changed: dict[str, str | None], code: str) -> None:
    browser, headers = new_guest(open_app)
    sent = {name: value for name, value in {**headers, **changed}.items() if value is not None}
    assert result(browser.post("/token", headers=sent)) == (403, code)


def test_csrf_token_of_another_guest_is_rejected(open_app: Flask) -> None:
    browser, _ = new_guest(open_app)
    _, others = new_guest(open_app)
    assert result(browser.post("/token", headers=others)) == (403, "csrf-failed")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer bad"},
        {"Authorization": "Bearer"},
        {"X-API-Key": "bad"},
        {"Cookie": "live-broker=bad"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/me"), ("POST", "/token")])
def test_bad_credential_is_never_replaced_by_a_guest(
    open_app: Flask, headers: dict[str, str], method: str, path: str
) -> None:
    client = open_app.test_client(use_cookies=False)
    answer = client.open(path, method=method, headers={**SAME, "Origin": ORIGIN, **headers})
    assert answer.status_code in {400, 401, 403}
    assert "guest." not in answer.headers.get("Set-Cookie", "")


def test_guest_with_another_credential_is_refused(open_app: Flask) -> None:
    browser, headers = new_guest(open_app)
    assert result(browser.post("/token", headers={**headers, **bearer(open_app)})) == (400, "bad-request")


def test_cookie_from_another_address_is_refused_and_deleted(open_app: Flask) -> None:
    browser, headers = new_guest(open_app)
    answer = browser.post("/token", headers=headers, environ_base=OTHER_ADDRESS)
    assert result(answer) == (401, "invalid-token")
    assert browser.get_cookie("live-broker") is None
    assert browser.get("/me", headers=SAME, environ_base=OTHER_ADDRESS).status_code == 200


def test_call_goes_on_when_the_address_of_the_guest_changes(make_app: MakeApp) -> None:
    app = make_app(toml=guests("allow_network = true"))
    home, mobile, new_prefix = ({"REMOTE_ADDR": at} for at in ("203.0.113.7", "198.51.100.9", "2001:db8::1"))
    browser, headers = new_guest(app, environ_base=home)
    session = browser.post("/token", headers=headers, environ_base=home).get_json()["session"]["id"]
    path = f"/sessions/{session}"
    for at in (mobile, new_prefix, home):
        asked: dict[str, Any] = {"headers": headers, "environ_base": at}
        assert browser.post(f"{path}/heartbeat", **asked).status_code == 200
        assert browser.post(f"{path}/token", **asked).status_code == 200
    assert browser.get_cookie("live-broker") is not None
    thief = app.test_client()
    thief.set_cookie("live-broker", cookie_of(browser))
    assert thief.post(f"{path}/heartbeat", environ_base=mobile).status_code == 403, "without the CSRF token"
    other, others = new_guest(app, environ_base=mobile)
    assert other.post(f"{path}/heartbeat", headers=others, environ_base=mobile).status_code == 404
    assert browser.post(f"{path}/end", headers=headers, environ_base=mobile).status_code == 200
    assert result(browser.post("/token", headers=headers, environ_base=mobile)) == (401, "invalid-token")


def test_moved_guest_is_refused_where_the_network_gets_no_guests(open_app: Flask) -> None:
    browser, headers = new_guest(open_app)
    session = browser.post("/token", headers=headers).get_json()["session"]["id"]
    answer = browser.post(f"/sessions/{session}/heartbeat", headers=headers, environ_base=NETWORK)
    assert result(answer) == (401, "invalid-token")


@pytest.mark.parametrize(
    "change",
    [
        lambda signature: signature[:64] + "0" * 64,
        lambda signature: "0" * 64 + signature[64:],
        lambda signature: signature[64:] + signature[:64],
        lambda signature: signature[:64],
        lambda signature: signature[:64] * 2,
    ],
)
def test_each_signature_of_a_guest_counts_only_for_its_purpose(
    make_app: MakeApp, change: Callable[[str], str]
) -> None:
    """At its address, and elsewhere. A cookie of an earlier version has only the first of the two."""
    app = make_app(toml=guests("allow_network = true"))
    browser, headers = new_guest(app, environ_base={"REMOTE_ADDR": "203.0.113.7"})
    body, _, signature = cookie_of(browser).partition("~")[0].rpartition(".")
    changed = f"{body}.{change(signature)}"
    csrf = parts_of(app).sign_ins.csrf_token(changed)
    sent = {**headers, CSRF_HEADER: csrf}

    def status(method: str, path: str, address: str) -> int:
        page = app.test_client()
        page.set_cookie("live-broker", changed)
        at = {"REMOTE_ADDR": address}
        return page.open(path, method=method, headers=sent, environ_base=at).status_code

    good_at_home = changed.split(".")[3][:64] == signature[:64]
    assert status("POST", "/token", "203.0.113.7") == (200 if good_at_home else 401)
    assert status("POST", "/token", "198.51.100.9") == 401
    good_elsewhere = changed.split(".")[3][64:] == signature[64:]
    session = f"/sessions/ses_{'0' * 32}/heartbeat"
    assert status("POST", session, "198.51.100.9") == (404 if good_elsewhere else 401)


def test_altered_cookie_is_refused(open_app: Flask) -> None:
    browser, _ = new_guest(open_app)
    good = cookie_of(browser)
    prefix, subject, expires, signature = good.split(".")
    for bad in (
        f"{prefix}.{'0' * 32}.{expires}.{signature}",
        f"{prefix}.{subject}.{int(expires) + 1}.{signature}",
        f"{prefix}.{subject}.{expires}.{'0' * 64}",
        f"{prefix}.{subject}.{expires}",
        f"{good}.",
        "guest.",
    ):
        thief = open_app.test_client()
        thief.set_cookie("live-broker", bad)
        assert result(thief.get("/me", headers=SAME)) == (401, "invalid-token")
        assert thief.get_cookie("live-broker") is None


def test_guests_end_when_the_setting_is_turned_off(make_app: MakeApp) -> None:
    same = {"BROKER_SECRET_KEY": secrets.token_urlsafe(48)}
    browser, _ = new_guest(make_app(toml=guests(), env=same))
    closed = make_app(env=same).test_client()
    closed.set_cookie("live-broker", cookie_of(browser))
    assert result(closed.get("/me", headers=SAME)) == (401, "invalid-token")


def test_ipv6_guests_are_bound_to_their_64_bit_prefix(make_app: MakeApp) -> None:
    app = make_app(toml=guests("allow_network = true"))
    browser, headers = new_guest(app, environ_base={"REMOTE_ADDR": "2001:db8::1"})
    near = browser.post("/token", headers=headers, environ_base={"REMOTE_ADDR": "2001:db8::ffff"})
    far = browser.post("/token", headers=headers, environ_base={"REMOTE_ADDR": "2001:db8:0:1::1"})
    assert (near.status_code, far.status_code) == (200, 401)


def test_new_cookie_gives_no_new_allowance(make_app: MakeApp) -> None:
    app = make_app(toml=guests(rate="2/hour"))
    answers = []
    for _ in range(4):
        browser, headers = new_guest(app)
        answers.append(browser.post("/token", headers=headers))
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    problem = answers[-1].get_json()
    assert (problem["violated-policies"], "address" in problem["detail"]) == (["2/hour"], True)
    next_token = app.test_client().get("/me", headers=SAME).get_json()["next_token"]
    assert (next_token["granted"], next_token["code"]) == (False, "rate-limited")
    browser, headers = new_guest(app, environ_base=OTHER_ADDRESS)
    assert browser.post("/token", headers=headers, environ_base=OTHER_ADDRESS).status_code == 200
    assert app.test_client().post("/token", headers=bearer(app)).status_code == 200


def test_guests_have_their_own_plan_and_profiles(make_app: MakeApp) -> None:
    more = """
[plans.tiny]
rate = "1/minute"
sessions = 1
minutes_per_day = 1
session_minutes = 1
[profiles.taste]
models = ["gemini-3.8-live"]
[profiles.taste.config]
response_modalities = ["AUDIO"]
"""
    app = make_app(toml=guests('plan = "tiny"\nprofiles = ["taste"]') + more)
    browser, headers = new_guest(app)
    assert [p["name"] for p in browser.get("/profiles").get_json()["profiles"]] == ["taste"]
    answer = browser.post("/token", json={"profile": "taste"}, headers=headers)
    assert answer.get_json()["expires_in"] == 60
    again = browser.post("/token", json={"profile": "taste"}, headers=headers)
    assert result(again) == (429, "rate-limited")
    other, headers = new_guest(app)
    assert result(other.post("/token", headers=headers)) == (403, "profile-forbidden")


def test_guest_may_not_act_for_a_user(open_app: Flask) -> None:
    browser, headers = new_guest(open_app)
    answer = browser.post("/token", json={"on_behalf_of": "u1"}, headers=headers)
    assert result(answer) == (422, "field-not-allowed")


def test_sign_in_ends_the_guest_and_sign_out_deletes_the_cookie(open_app: Flask) -> None:
    browser, headers = new_guest(open_app)
    login = browser.post("/auth/login", json={"username": "alice", "password": PASSWORD}, headers=headers)
    assert login.status_code == 200
    assert browser.get("/me", headers=SAME).get_json()["principal"]["subject"] == "alice"
    guest, headers = new_guest(open_app)
    assert guest.post("/auth/logout", headers=headers).status_code == 204
    assert guest.get_cookie("live-broker") is None


@pytest.mark.parametrize("how", ["logout", "login"])
def test_copy_of_the_cookie_ends_with_the_guest(make_app: MakeApp, how: str) -> None:
    app = make_app(toml=guests())
    browser, headers = new_guest(app)
    thief = app.test_client()
    thief.set_cookie("live-broker", cookie_of(browser))
    assert thief.get("/me").status_code == 200
    if how == "logout":
        assert browser.post("/auth/logout", headers=headers).status_code == 204
    else:
        body = {"username": "alice", "password": PASSWORD}
        assert browser.post("/auth/login", json=body, headers=headers).status_code == 200
        assert browser.get("/me").status_code == 200
    assert result(thief.post("/token", headers=headers)) == (401, "invalid-token")
    assert thief.get_cookie("live-broker") is None
    assert thief.get("/me", headers=SAME).status_code == 200, "another guest"
    other, headers = new_guest(app)
    assert other.post("/token", headers=headers).status_code == 200


def test_blocked_guest_is_refused(open_app: Flask) -> None:
    browser, headers = new_guest(open_app)
    subject = browser.get("/me").get_json()["principal"]["subject"]
    parts = parts_of(open_app)
    admin = BlockAdmin(parts.settings, parts.database, actor="tests")
    admin.block(subject, issuer=GUEST_ISSUER)
    assert result(browser.post("/token", headers=headers)) == (403, "account-blocked")
    admin.block_issuer(GUEST_ISSUER)
    other = open_app.test_client().get("/me", headers=SAME)
    assert result(other) == (403, "account-blocked")


@pytest.mark.parametrize(
    "how",
    [
        {"environ_base": NETWORK},
        {"base_url": "http://voice.example"},
        {"base_url": "https://voice.example"},
        {"headers": {**SAME, "X-Forwarded-For": "127.0.0.1"}},
        {"headers": {**SAME, "X-Real-IP": "127.0.0.1"}},
        {"headers": {**SAME, "Forwarded": "for=127.0.0.1"}},
        {"headers": {**SAME, "X-Forwarded-Proto": "https"}},
        {"headers": {**SAME, "Host": "localhost.evil.example"}},
        {"environ_base": {"REMOTE_ADDR": ""}},
    ],
    ids=str,
)
def test_network_gets_no_guests_by_default(make_app: MakeApp, how: dict[str, Any]) -> None:
    asked = {"headers": SAME, **how}
    closed = make_app(toml=guests()).test_client()
    foreign_name = "Host" in asked["headers"]
    refused = (400, "bad-request") if foreign_name else (401, "missing-credentials")
    assert result(closed.get("/me", **asked)) == refused
    assert closed.get_cookie("live-broker") is None


def test_guest_cookie_is_rejected_on_the_network_unless_allowed(make_app: MakeApp) -> None:
    same = {"BROKER_SECRET_KEY": secrets.token_urlsafe(48)}
    browser, headers = new_guest(
        make_app(toml=guests("allow_network = true"), env=same), environ_base=NETWORK
    )
    closed = make_app(toml=guests(), env=same).test_client()
    closed.set_cookie("live-broker", cookie_of(browser))
    assert result(closed.post("/token", headers=headers, environ_base=NETWORK)) == (401, "invalid-token")


def test_network_gets_guests_if_allowed(make_app: MakeApp) -> None:
    client = make_app(toml=guests("allow_network = true")).test_client()
    answer = client.get("/me", headers=SAME, base_url="https://voice.example", environ_base=NETWORK)
    assert answer.status_code == 200
    assert answer.headers["Set-Cookie"].startswith("__Host-live-broker=guest.")
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("bind", ["0.0.0.0", "[::]", "unix"])
def test_broker_refuses_to_start_on_the_network_unless_allowed(tmp_path: Path, bind: str) -> None:
    """The master prints the reason and exits with status 2 before a worker exists."""
    config = write_config(tmp_path, more=guests())
    environ = environment(tmp_path, "https://generativelanguage.googleapis.com", config=config)
    address = f"unix:{tmp_path}/s" if bind == "unix" else f"{bind}:{free_port()}"
    words = ["--config", "python:broker.gunicorn_conf", "--bind", address, "broker.app:create_app()"]
    ended = warm_python.run("gunicorn", words, env={**environ, "PATH": "/usr/bin:/bin"})
    assert ended.returncode == 2
    assert "guests.allow_network" in ended.stderr
    assert "Booting worker" not in ended.stderr


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('plan = "none"', "guests.plan: there is no plan 'none'"),
        ('profiles = ["none"]', "guests.profiles: 'none' is not available to the plan 'default'"),
        ("profiles = []", "guests.profiles"),
        ('address_rate = "often"', "guests.address_rate"),
        ('allow_network = "yes"', "guests.allow_network"),
        ("open = true", "guests.open: is not a known key"),
    ],
)
def test_invalid_guests_table_is_rejected(tmp_path: Path, table: str, fault: str) -> None:
    text = table if "address_rate" in table else f'{table}\naddress_rate = "5/hour"'
    config = write_config(tmp_path, more=f"[guests]\n{text}\n")
    with pytest.raises(SettingsError) as raised:
        load(environment(tmp_path, "http://127.0.0.1:9", config=config))
    assert [found for found in raised.value.faults if fault in found]


def test_guest_is_the_same_on_every_worker(standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, toml=guests(rate="3/hour"), workers=4, threads=4)
    with broker.client() as client:
        me = client.get("/me", headers=SAME)
        cookie = me.headers["set-cookie"].split(";")[0]
        headers = {
            "Cookie": cookie,
            CSRF_HEADER: me.json()["csrf_token"],
            "Origin": broker.url,
        }
    statuses = []
    for _ in range(6):
        with broker.client() as client:
            statuses.append(client.post("/token", headers=headers).status_code)
    assert statuses == [200] * 3 + [429] * 3
