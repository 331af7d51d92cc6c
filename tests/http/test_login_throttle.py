"""Password guessing is throttled per address and per account, for unknown names in the same way."""

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
from tests.http.conftest import block_admin, count_audited
from tests.support.servers import PASSWORD, BrokerServer

HOME, ELSEWHERE = "127.0.0.8", "127.0.0.9"


def sign_in(client: FlaskClient, username: str, password: str = "wrong", address: str = HOME) -> Any:
    body = {"username": username, "password": password}
    return client.post("/auth/login", json=body, environ_base={"REMOTE_ADDR": address})


def sign_in_records(app: Flask) -> list[tuple[str, str, Any]]:
    query = select(audit).where(audit.c.action == "sign-in").order_by(audit.c.id)
    with parts_of(app).database.read() as connection:
        return [(row.actor, row.outcome, row.detail) for row in connection.execute(query)]


def test_guessing_one_account_is_throttled_for_that_address(client: FlaskClient) -> None:
    assert [sign_in(client, "alice").status_code for _ in range(6)] == [401] * 5 + [429]
    throttled = sign_in(client, "alice", PASSWORD)
    assert (throttled.status_code, throttled.get_json()["code"]) == (429, "login-throttled")
    assert int(throttled.headers["Retry-After"]) >= 1
    assert sign_in(client, "bob", PASSWORD).status_code == 200, "another account from the same address"
    assert sign_in(client, "alice", PASSWORD, ELSEWHERE).status_code == 200, "its owner, from another address"


def test_name_in_another_case_is_the_same_account(client: FlaskClient) -> None:
    names = ["alice", "Alice", " ALICE", "aLice ", "ALICE"]
    assert [sign_in(client, name).status_code for name in names] == [401] * 5
    assert sign_in(client, "alice", PASSWORD).status_code == 429


def test_unknown_name_is_treated_like_an_existing_one(client: FlaskClient) -> None:
    """Compares status, body and headers, from the first attempt until long after the throttle starts."""

    def answers_to(name: str, address: str) -> list[tuple[int, str, str, set[str]]]:
        seen = []
        for _ in range(8):
            answer = sign_in(client, name, "wrong", address)
            body = {k: v for k, v in answer.get_json().items() if k not in {"request_id", "detail"}}
            body.pop("retry_after_seconds", None)
            detail = answer.get_json()["detail"].rstrip("0123456789 s.")
            seen.append((answer.status_code, str(body), detail, set(answer.headers.keys())))
        return seen

    assert (
        answers_to("alice", HOME)
        == answers_to("nobody", ELSEWHERE)
        == answers_to("no name at all!", "127.0.0.7")
    )


def test_concurrent_guesses_get_no_more_answers_than_sequential_ones(app: Flask) -> None:
    """All requests reach the password check. Only five of them learn whether the password is right."""
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


def test_attackers_cannot_lock_the_owner_out_of_a_known_address(app: Flask, client: FlaskClient) -> None:
    assert sign_in(client, "alice", PASSWORD, HOME).status_code == 200
    throttle: SignInThrottle = parts_of(app).sign_in_throttle
    for n in range(60):
        throttle.failed(Attempt("alice", f"198.51.100.{n}"))
    throttled = sign_in(client, "alice", PASSWORD, ELSEWHERE)
    assert throttled.get_json()["violated-policies"] == ["60/10 minute"]
    assert throttled.get_json()["retry_after_seconds"] <= 600
    assert sign_in(client, "alice", PASSWORD, HOME).status_code == 200
    assert sign_in(client, "bob", PASSWORD, ELSEWHERE).status_code == 200


def test_account_limit_applies_across_addresses(app: Flask) -> None:
    throttle: SignInThrottle = parts_of(app).sign_in_throttle
    for n in range(60):
        throttle.failed(Attempt("alice", f"198.51.100.{n}"))
    with pytest.raises(Refusal) as refused:
        throttle.failed(Attempt("alice", "198.51.100.99"))
    assert refused.value.code == "login-throttled"


def test_successful_sign_ins_are_not_counted(client: FlaskClient) -> None:
    assert {sign_in(client, "alice", PASSWORD).status_code for _ in range(7)} == {200}


def test_failed_and_refused_sign_ins_are_audited(app: Flask, client: FlaskClient) -> None:
    block_admin(app).block("bob")
    sign_in(client, "alice")
    sign_in(client, "bob", PASSWORD)
    sign_in(client, "a password in the wrong field")
    assert sign_in_records(app) == [
        (f"address:{HOME}", "bad-login", {"user": "alice"}),
        (f"address:{HOME}", "account-blocked", {"user": "bob"}),
        (f"address:{HOME}", "bad-login", {"user": None}),
    ]


def test_flood_of_attempts_is_counted(app: Flask, client: FlaskClient) -> None:
    for _ in range(12):
        sign_in(client, "alice")
    assert [outcome for _, outcome, _ in sign_in_records(app)] == ["bad-login", "login-throttled"]
    assert count_audited(app, outcome="bad-login") == 5
    assert count_audited(app, outcome="login-throttled") == 7
    assert len(sign_in_records(app)) == 4
    assert {(actor, detail["user"]) for actor, _, detail in sign_in_records(app)} == {
        (f"address:{HOME}", "alice")
    }


@pytest.mark.measured  # checks at full cost take too long beside other tests
@pytest.mark.parametrize("stored", ["with earlier parameters", "at full cost"])
def test_one_account_at_full_cost_does_not_keep_others_from_signing_in(
    broker: BrokerServer, stored: str
) -> None:
    """Twenty sign-ins of one valid account at once. Hashes with earlier parameters are replaced meanwhile."""
    for name in ("alice", "bob"):
        broker.user_admin.set_password(name, PASSWORD)
        if stored == "at full cost":
            broker.sign_in(name)

    def sign_in_as(name: str) -> tuple[int, str]:
        with broker.client() as client:
            answer = client.post("/auth/login", json={"username": name, "password": PASSWORD})
        return answer.status_code, answer.json().get("code", "")

    with ThreadPoolExecutor(21) as pool:
        flood = [pool.submit(sign_in_as, ("alice", " ALICE")[n % 2]) for n in range(20)]
        bob = pool.submit(sign_in_as, "bob")
        assert bob.result() == (200, "")
        answers = {one.result() for one in flood}
    assert answers <= {(200, ""), (503, "busy")}


def test_concurrent_sign_ins_from_a_new_address_succeed(app: Flask) -> None:
    def once(_: int) -> int:
        return int(sign_in(app.test_client(use_cookies=False), "alice", PASSWORD, ELSEWHERE).status_code)

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(once, range(3))) == {200}
