"""Guessing passwords: slowed down per address and per account, the same for names that nobody has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from broker.errors import Refusal
from broker.limits.sign_in_throttle import Attempt, SignInThrottle
from broker.parts import parts_of
from broker.store.database.tables import audit
from tests.http.conftest import block_admin
from tests.support.servers import PASSWORD

HOME, ELSEWHERE = "127.0.0.8", "127.0.0.9"


def sign_in(client: FlaskClient, username: str, password: str = "wrong", address: str = HOME) -> Any:
    body = {"username": username, "password": password}
    return client.post("/auth/login", json=body, environ_base={"REMOTE_ADDR": address})


def sign_in_records(app: Flask) -> list[tuple[str, str, Any]]:
    query = select(audit).where(audit.c.action == "sign-in").order_by(audit.c.id)
    with parts_of(app).database.read() as connection:
        return [(row.actor, row.outcome, row.detail) for row in connection.execute(query)]


def test_guessing_one_account_is_slowed_down_where_it_comes_from(client: FlaskClient) -> None:
    assert [sign_in(client, "alice").status_code for _ in range(6)] == [401] * 5 + [429]
    throttled = sign_in(client, "alice", PASSWORD)
    assert (throttled.status_code, throttled.get_json()["code"]) == (429, "login-throttled")
    assert int(throttled.headers["Retry-After"]) >= 1
    assert sign_in(client, "bob", PASSWORD).status_code == 200, "another account from the same address"
    assert sign_in(client, "alice", PASSWORD, ELSEWHERE).status_code == 200, "its owner, from elsewhere"


def test_a_name_in_another_case_is_the_same_account(client: FlaskClient) -> None:
    names = ["alice", "Alice", " ALICE", "aLice ", "ALICE"]
    assert [sign_in(client, name).status_code for name in names] == [401] * 5
    assert sign_in(client, "alice", PASSWORD).status_code == 429


def test_a_name_that_nobody_has_is_treated_like_any_other(client: FlaskClient) -> None:
    """Status, body and headers, from the first try until far into the throttle."""

    def story(name: str, address: str) -> list[tuple[int, str, str, set[str]]]:
        told = []
        for _ in range(8):
            answer = sign_in(client, name, "wrong", address)
            body = {k: v for k, v in answer.get_json().items() if k not in {"request_id", "detail"}}
            body.pop("retry_after_seconds", None)
            detail = answer.get_json()["detail"].rstrip("0123456789 s.")
            told.append((answer.status_code, str(body), detail, set(answer.headers.keys())))
        return told

    assert story("alice", HOME) == story("nobody", ELSEWHERE) == story("no name at all!", "127.0.0.7")


def test_many_guesses_at_once_get_no_more_answers_than_one_after_the_other(app: Flask) -> None:
    """All were let through to the password; only five of them are told whether it was right."""
    throttle: SignInThrottle = parts_of(app).sign_in_throttle
    attempt = Attempt("alice", HOME)

    def guess(_: int) -> str:
        try:
            throttle.failed(attempt)
        except Refusal as refusal:
            return refusal.code
        return "bad-login"

    throttle.check(attempt)
    with ThreadPoolExecutor(12) as pool:
        answers = sorted(pool.map(guess, range(12)))
    assert answers == ["bad-login"] * 5 + ["login-throttled"] * 7
    with pytest.raises(Refusal):
        throttle.check(attempt)


def test_strangers_everywhere_cannot_lock_the_owner_out_at_home(app: Flask, client: FlaskClient) -> None:
    assert sign_in(client, "alice", PASSWORD, HOME).status_code == 200
    throttle: SignInThrottle = parts_of(app).sign_in_throttle
    for n in range(60):
        throttle.failed(Attempt("alice", f"198.51.100.{n}"))
    throttled = sign_in(client, "alice", PASSWORD, ELSEWHERE)
    assert throttled.get_json()["violated-policies"] == ["60/10 minute"]
    assert throttled.get_json()["retry_after_seconds"] <= 600
    assert sign_in(client, "alice", PASSWORD, HOME).status_code == 200
    assert sign_in(client, "bob", PASSWORD, ELSEWHERE).status_code == 200


def test_the_ceiling_of_an_account_holds_for_addresses_that_each_try_once(app: Flask) -> None:
    throttle: SignInThrottle = parts_of(app).sign_in_throttle
    for n in range(60):
        throttle.failed(Attempt("alice", f"198.51.100.{n}"))
    with pytest.raises(Refusal) as refused:
        throttle.failed(Attempt("alice", "198.51.100.99"))
    assert refused.value.code == "login-throttled"


def test_signing_in_uses_nothing_up(client: FlaskClient) -> None:
    assert {sign_in(client, "alice", PASSWORD).status_code for _ in range(7)} == {200}


def test_each_failed_and_refused_sign_in_is_recorded(app: Flask, client: FlaskClient) -> None:
    block_admin(app).block("bob")
    sign_in(client, "alice")
    sign_in(client, "bob", PASSWORD)
    sign_in(client, "a password in the wrong field")
    assert sign_in_records(app) == [
        (f"address:{HOME}", "bad-login", {"user": "alice"}),
        (f"address:{HOME}", "account-blocked", {"user": "bob"}),
        (f"address:{HOME}", "bad-login", {"user": None}),
    ]


def test_a_flood_of_throttled_tries_leaves_one_record_a_minute(app: Flask, client: FlaskClient) -> None:
    for _ in range(12):
        sign_in(client, "alice")
    assert [outcome for _, outcome, _ in sign_in_records(app)] == ["bad-login"] * 5 + ["login-throttled"]


def test_signing_in_twice_at_once_from_a_new_place(app: Flask) -> None:
    def once(_: int) -> int:
        return int(sign_in(app.test_client(use_cookies=False), "alice", PASSWORD, ELSEWHERE).status_code)

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(once, range(3))) == {200}
