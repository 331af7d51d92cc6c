"""Whoever is blocked, or whose password changed, is turned away at the next request with any credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from broker.http.credentials import CSRF_HEADER, caller_of
from broker.operators.errors import OperatorError
from broker.operators.keys import KeyAdmin
from broker.parts import parts_of
from broker.principal import Principal
from broker.store.database.tables import audit, blocks, sign_ins
from tests.http.conftest import ORIGIN, MakeApp, bearer, block_admin, user_admin
from tests.support.servers import PASSWORD

Page = tuple[FlaskClient, dict[str, str]]
IDP = "https://idp.example/"
ISSUER = f"""
[[issuers]]
name = "idp"
issuer = "{IDP}"
audience = "app"
jwks_url = "http://127.0.0.1:9/keys"
"""


def told(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, (answer.get_json() or {}).get("code")


def count(app: Flask, table: Any, **where: Any) -> int:
    query = select(func.count()).select_from(table).filter_by(**where)
    with parts_of(app).database.read() as connection:
        return int(connection.execute(query).scalar_one())


def sign_in(client: FlaskClient, password: str = PASSWORD) -> Any:
    return client.post("/auth/login", json={"username": "alice", "password": password})


def external_page(app: Flask, subject: str = "u-1") -> Page:
    """A browser that signed in through another issuer: its cookie stands for (IDP, subject)."""
    parts = parts_of(app)
    signed_in = parts.sign_ins.open(Principal(IDP, subject, "Eve", "default"))
    browser = app.test_client()
    browser.set_cookie("live-broker", signed_in.cookie)
    return browser, {CSRF_HEADER: signed_in.csrf_token, "Origin": ORIGIN}


def ask(page: Page) -> tuple[int, str | None]:
    browser, headers = page
    return told(browser.post("/token", headers=headers))


@pytest.fixture
def with_idp(make_app: MakeApp) -> Flask:
    return make_app(toml=ISSUER)


def test_a_blocked_user_gets_nothing_from_the_next_request_on(app: Flask, page: Page) -> None:
    browser, headers = page
    held = bearer(app)
    block_admin(app).block("alice", reason="left the company")
    for answer in (
        browser.get("/me"),
        browser.post("/token", headers=headers),
        browser.post("/token", headers=headers),
        app.test_client().post("/token", headers=held),
        sign_in(app.test_client()),
    ):
        assert told(answer) == (403, "account-blocked")
    block_admin(app).unblock("alice")
    assert count(app, sign_ins) == 0
    assert count(app, audit, action="user.block", actor="cli:olga") == 1


def block_and_unblock(app: Flask) -> None:
    block_admin(app).block("alice")
    block_admin(app).unblock("alice")


ENDS: dict[str, Callable[[Flask], object]] = {
    "another password": lambda app: user_admin(app).set_password("alice", "another password"),
    "a sign-out everywhere": lambda app: user_admin(app).sign_out("alice"),
    "a block that was lifted": block_and_unblock,
}


@pytest.mark.parametrize("ending", ENDS.values(), ids=ENDS)
def test_ends_every_cookie_and_bearer_of_before_and_no_later_one(
    app: Flask, page: Page, ending: Callable[[Flask], object]
) -> None:
    """In the same second as well: no clock decides this."""
    browser, headers = page
    held, cookie = bearer(app), browser.get_cookie("live-broker")
    assert cookie is not None
    ending(app)
    assert told(app.test_client().post("/token", headers=held)) == (401, "invalid-token")
    assert told(browser.post("/token", headers=headers)) == (401, "invalid-token")
    assert app.test_client().post("/token", headers=bearer(app)).status_code == 200


def test_the_old_password_is_over_at_once(app: Flask, client: FlaskClient) -> None:
    user_admin(app).set_password("alice", "another password")
    assert told(sign_in(client)) == (401, "bad-login")
    assert sign_in(client, "another password").status_code == 200
    assert count(app, audit, action="user.password", actor="cli:olga", outcome="ok") == 1


def test_a_sign_in_that_was_under_way_when_the_password_changed_leaves_nothing(app: Flask) -> None:
    parts = parts_of(app)
    user = parts.login.check(parts.login.find("alice"), PASSWORD)
    user_admin(app).set_password("alice", "another password")
    # The store lets it in, as it might between two transactions; the generation does not.
    late = parts.sign_ins.open(user.principal(), generation=user.generation)
    browser = app.test_client()
    browser.set_cookie("live-broker", late.cookie)
    assert told(browser.get("/me")) == (401, "invalid-token")


def test_a_blocked_subject_of_another_issuer(with_idp: Flask) -> None:
    page, other, later = (external_page(with_idp, name) for name in ("u-1", "u-2", "u-3"))
    assert ask(page) == (200, None)
    block_admin(with_idp).block("u-1", IDP)
    assert ask(page) == (403, "account-blocked"), "its page is told why"
    assert ask(external_page(with_idp)) == (403, "account-blocked"), "and a new sign-in is of no use"
    assert ask(other) == (200, None)
    block_admin(with_idp).unblock("u-1", IDP)
    assert ask(page) == (401, "invalid-token"), "the sign-in of before has ended"
    assert ask(external_page(with_idp)) == (200, None)
    assert ask(later) == (200, None)


def test_a_subject_is_blocked_for_its_own_issuer_only(with_idp: Flask) -> None:
    block_admin(with_idp).block("alice", IDP)
    assert with_idp.test_client().post("/token", headers=bearer(with_idp)).status_code == 200
    block_admin(with_idp).block("alice")
    assert ask(external_page(with_idp, "ALICE")) == (200, None)


def test_credentials_of_before_a_moment(with_idp: Flask) -> None:
    parts = parts_of(with_idp)
    early = external_page(with_idp)
    user_admin(with_idp).sign_out("u-1", IDP)
    assert ask(early)[0] == 401
    assert count(with_idp, blocks, kind="issued-before") == 1
    assert ask(external_page(with_idp)) == (200, None)
    assert parts.sign_ins is not None


def test_one_token_by_its_id(app: Flask, client: FlaskClient) -> None:
    first, second = bearer(app), bearer(app)
    claims = jwt.decode(first["Authorization"].split()[1], options={"verify_signature": False})
    block_admin(app).block_token("live-broker", claims["jti"])
    assert told(client.post("/token", headers=first)) == (401, "invalid-token")
    assert client.post("/token", headers=second).status_code == 200
    block_admin(app).lift("live-broker", claims["jti"])
    assert client.post("/token", headers=first).status_code == 200


def test_a_whole_issuer(with_idp: Flask) -> None:
    page = external_page(with_idp)
    block_admin(with_idp).block_issuer(IDP)
    assert ask(page) == (403, "account-blocked")
    assert with_idp.test_client().post("/token", headers=bearer(with_idp)).status_code == 200
    block_admin(with_idp).lift(IDP)
    assert ask(page) == (200, None)


def test_a_service_key_and_whoever_it_acts_for(app: Flask, client: FlaskClient) -> None:
    parts = parts_of(app)
    made = KeyAdmin(parts.settings, parts.database, actor="tests").create("backend", on_behalf_of="any")
    headers, admin = {"X-API-Key": made.secret}, block_admin(app)

    def ask_for(subject: str | None) -> tuple[int, str | None]:
        body = {} if subject is None else {"on_behalf_of": subject}
        return told(client.post("/token", json=body, headers=headers))

    assert [ask_for(subject) for subject in (None, "u-1", "u-2")] == [(200, None)] * 3
    admin.block("u-1", f"live-broker:key:{made.key.id}")
    assert ask_for("u-1") == (403, "account-blocked")
    assert ask_for("u-2") == (200, None)
    admin.block(made.key.id, "live-broker:key")
    assert [ask_for(subject) for subject in (None, "u-2")] == [(403, "account-blocked")] * 2


def test_our_own_issuer_can_be_blocked_too(app: Flask, client: FlaskClient) -> None:
    held = bearer(app)
    block_admin(app).block_issuer("live-broker")
    assert told(client.post("/token", headers=held)) == (403, "account-blocked")
    assert told(sign_in(client)) == (403, "account-blocked")


def test_signing_out_with_a_bearer_ends_that_bearer(app: Flask, client: FlaskClient) -> None:
    first, second = bearer(app), bearer(app)
    assert client.post("/auth/logout", headers=first).status_code == 204
    assert told(client.get("/me", headers=first)) == (401, "invalid-token")
    assert client.get("/me", headers=second).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        lambda app: block_admin(app).block("nobody"),
        lambda app: block_admin(app).unblock("alice"),
        lambda app: user_admin(app).set_password("nobody", "long enough"),
        lambda app: user_admin(app).set_password("alice", "short"),
        lambda app: user_admin(app).sign_out("nobody"),
        lambda app: block_admin(app).block("u-1", "https://idp.example.evil/"),
        lambda app: block_admin(app).block_token("live-broker", ""),
        lambda app: block_admin(app).lift("live-broker", "unknown"),
        lambda app: block_admin(app).block("alice", reason="x" * 256),
    ],
)
def test_what_cannot_be_done_changes_and_records_nothing(
    app: Flask, wrong: Callable[[Flask], object]
) -> None:
    before = count(app, audit)
    with pytest.raises(OperatorError):
        wrong(app)
    assert count(app, audit) == before
    assert count(app, blocks) == 0


def test_the_operator_learns_how_long_google_may_honour_what_was_given(app: Flask, page: Page) -> None:
    browser, headers = page
    expires_at = browser.post("/token", headers=headers).get_json()["expires_at"]
    until = block_admin(app).block("alice")
    assert until is not None
    assert f"{until:%Y-%m-%dT%H:%M:%SZ}" == expires_at
    assert block_admin(app).block("bob") is None


def test_asking_who_may_come_in_takes_one_indexed_read(app: Flask) -> None:
    """For a bearer of ours the whole of it: the user, and every block that could concern the token."""
    parts = parts_of(app)
    reads: list[tuple[str, Any]] = []

    def watch(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            reads.append((statement, parameters))

    held = bearer(app)
    event.listen(parts.database.engine, "before_cursor_execute", watch)
    with app.test_request_context("/me", headers=held):
        caller_of(request)
    event.remove(parts.database.engine, "before_cursor_execute", watch)
    assert len(reads) == 1
    with parts.database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {reads[0][0]}", reads[0][1]).all()
    steps = [str(step[3]) for step in plan]
    assert steps
    assert not [step for step in steps if step.startswith("SCAN")], steps


def test_an_issuer_that_was_removed_vouches_for_nobody_and_can_still_be_blocked(
    with_idp: Flask, make_app: MakeApp
) -> None:
    browser, headers = external_page(with_idp)
    parts = parts_of(with_idp)
    database, secret = parts.settings.database_url, parts.settings.secret_key
    same = {
        "BROKER_DATABASE_URL": database.get_secret_value(),
        "BROKER_SECRET_KEY": secret.get_secret_value(),
    }
    later = make_app(env=same)
    kept = browser.get_cookie("live-broker")
    assert kept is not None
    page = later.test_client()
    page.set_cookie("live-broker", kept.value)
    assert told(page.post("/token", headers=headers)) == (401, "invalid-token")
    block_admin(later).block_issuer(IDP)
    with pytest.raises(OperatorError):
        block_admin(later).block_issuer("https://never.example")


def test_refused_callers_are_recorded(with_idp: Flask) -> None:
    held = bearer(with_idp)
    block_admin(with_idp).block("alice")
    assert told(with_idp.test_client().post("/token", headers=held)) == (403, "account-blocked")
    assert count(with_idp, audit, action="request", outcome="account-blocked") == 1


def test_unblocking_a_subject_revives_none_of_its_credentials(with_idp: Flask) -> None:
    page = external_page(with_idp)
    block_admin(with_idp).block("u-1", IDP)
    block_admin(with_idp).unblock("u-1", IDP)
    assert ask(page) == (401, "invalid-token")
    assert ask(external_page(with_idp)) == (200, None)


def test_a_key_is_blocked_by_its_name_and_a_wrong_name_blocks_nobody(app: Flask, client: FlaskClient) -> None:
    parts = parts_of(app)
    made = KeyAdmin(parts.settings, parts.database, actor="tests").create("shop", on_behalf_of="any")
    admin, headers = block_admin(app), {"X-API-Key": made.secret}
    wrong = [("nobody", "live-broker:key"), ("u-1", "live-broker:key:zz"), ("u-1", "live-broker:key:shop!")]
    wrong.append(("Jose\u0301", f"live-broker:key:{made.key.id}"))
    for subject, issuer in wrong:
        with pytest.raises(OperatorError):
            admin.block(subject, issuer)
    assert told(client.post("/token", headers=headers)) == (200, None)
    assert admin.block("shop", "live-broker:key") is not None, "until when Google may honour its tokens"
    assert told(client.post("/token", headers=headers)) == (403, "account-blocked")
