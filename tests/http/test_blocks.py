"""A block or a changed password applies to the next request, whatever its credential."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from broker.errors import Refusal
from broker.http.credentials import CSRF_HEADER, caller_of
from broker.minting.minter import MintedToken
from broker.operators.errors import OperatorError
from broker.operators.keys import KeyAdmin
from broker.parts import parts_of
from broker.principal import Principal
from broker.store.database.tables import audit, blocks, sign_ins
from tests.http.conftest import ORIGIN, MakeApp, bearer, block_admin, count_audited, user_admin
from tests.support.issuers import entry
from tests.support.servers import PASSWORD

Page = tuple[FlaskClient, dict[str, str]]
IDP = "https://idp.example/"
ISSUER = entry("idp", IDP, "http://127.0.0.1:9/keys", 'audience = "app"')


def result(answer: Any) -> tuple[int, str | None]:
    return answer.status_code, (answer.get_json() or {}).get("code")


def count(app: Flask, table: Any, **where: Any) -> int:
    query = select(func.count()).select_from(table).filter_by(**where)
    with parts_of(app).database.read() as connection:
        return int(connection.execute(query).scalar_one())


def sign_in(client: FlaskClient, password: str = PASSWORD) -> Any:
    return client.post("/auth/login", json={"username": "alice", "password": password})


def external_page(app: Flask, subject: str = "u-1") -> Page:
    """Returns a browser that signed in through another issuer. Its cookie identifies (IDP, subject)."""
    parts = parts_of(app)
    signed_in = parts.sign_ins.open(Principal(IDP, subject, "Eve", "default"))
    browser = app.test_client()
    browser.set_cookie("live-broker", signed_in.cookie)
    return browser, {CSRF_HEADER: signed_in.csrf_token, "Origin": ORIGIN}


def ask(page: Page) -> tuple[int, str | None]:
    browser, headers = page
    return result(browser.post("/token", headers=headers))


@pytest.fixture
def with_idp(make_app: MakeApp) -> Flask:
    return make_app(toml=ISSUER)


def test_block_applies_to_the_next_request(app: Flask, page: Page) -> None:
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
        assert result(answer) == (403, "account-blocked")
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
def test_existing_cookies_and_bearer_tokens_end_and_later_ones_work(
    app: Flask, page: Page, ending: Callable[[Flask], object]
) -> None:
    """This holds within the same second too, because no clock decides it."""
    browser, headers = page
    held, cookie = bearer(app), browser.get_cookie("live-broker")
    assert cookie is not None
    ending(app)
    assert result(app.test_client().post("/token", headers=held)) == (401, "invalid-token")
    assert result(browser.post("/token", headers=headers)) == (401, "invalid-token")
    assert app.test_client().post("/token", headers=bearer(app)).status_code == 200


def test_old_password_is_rejected_at_once(app: Flask, client: FlaskClient) -> None:
    user_admin(app).set_password("alice", "another password")
    assert result(sign_in(client)) == (401, "bad-login")
    assert sign_in(client, "another password").status_code == 200
    assert count(app, audit, action="user.password", actor="cli:olga", outcome="ok") == 1


def test_sign_in_during_a_password_change_is_invalid(app: Flask) -> None:
    parts = parts_of(app)
    user = parts.login.check(parts.login.find("alice"), PASSWORD)
    user_admin(app).set_password("alice", "another password")
    # The store accepts it, as it might between two transactions. The generation makes it invalid.
    late = parts.sign_ins.open(user.principal(), generation=user.generation)
    browser = app.test_client()
    browser.set_cookie("live-broker", late.cookie)
    assert result(browser.get("/me")) == (401, "invalid-token")


def block_for_a_moment(app: Flask) -> None:
    block_admin(app).block("alice")
    block_admin(app).unblock("alice")


@pytest.mark.parametrize(
    "change",
    [
        lambda app: user_admin(app).set_password("alice", "another password"),
        lambda app: user_admin(app).sign_out("alice"),
        block_for_a_moment,
    ],
    ids=["password", "sign-out", "blocked for a moment"],
)
def test_sign_in_that_crosses_a_change_is_told_to_try_again(
    app: Flask, change: Callable[[Flask], object]
) -> None:
    """`invalid-token` would be about a token, and the caller has sent none."""
    login = parts_of(app).login
    user = login.check(login.find("alice"), PASSWORD)
    change(app)
    with pytest.raises(Refusal) as refusal:
        login.sign_in(user, PASSWORD)
    assert (refusal.value.code, refusal.value.status) == ("busy", 503)


def test_subject_of_another_issuer_can_be_blocked_and_unblocked(with_idp: Flask) -> None:
    page, other, later = (external_page(with_idp, name) for name in ("u-1", "u-2", "u-3"))
    assert ask(page) == (200, None)
    block_admin(with_idp).block("u-1", IDP)
    assert ask(page) == (403, "account-blocked"), "its page gets the reason"
    assert ask(external_page(with_idp)) == (403, "account-blocked"), "a new sign-in does not help"
    assert ask(other) == (200, None)
    block_admin(with_idp).unblock("u-1", IDP)
    assert ask(page) == (401, "invalid-token"), "the earlier sign-in has ended"
    assert ask(external_page(with_idp)) == (200, None)
    assert ask(later) == (200, None)


def test_block_of_a_subject_covers_its_own_issuer_only(with_idp: Flask) -> None:
    block_admin(with_idp).block("alice", IDP)
    assert with_idp.test_client().post("/token", headers=bearer(with_idp)).status_code == 200
    block_admin(with_idp).block("alice")
    assert ask(external_page(with_idp, "ALICE")) == (200, None)


def test_sign_out_revokes_earlier_credentials_and_not_later_ones(with_idp: Flask) -> None:
    parts = parts_of(with_idp)
    early = external_page(with_idp)
    user_admin(with_idp).sign_out("u-1", IDP)
    assert ask(early)[0] == 401
    assert count(with_idp, blocks, kind="issued-before") == 1
    assert ask(external_page(with_idp)) == (200, None)
    assert parts.sign_ins is not None


def test_single_token_can_be_blocked_by_its_id(app: Flask, client: FlaskClient) -> None:
    first, second = bearer(app), bearer(app)
    claims = jwt.decode(first["Authorization"].split()[1], options={"verify_signature": False})
    block_admin(app).block_token("live-broker", claims["jti"])
    assert result(client.post("/token", headers=first)) == (401, "invalid-token")
    assert client.post("/token", headers=second).status_code == 200
    block_admin(app).lift("live-broker", claims["jti"])
    assert client.post("/token", headers=first).status_code == 200


def test_whole_issuer_can_be_blocked(with_idp: Flask) -> None:
    page = external_page(with_idp)
    block_admin(with_idp).block_issuer(IDP)
    assert ask(page) == (403, "account-blocked")
    assert with_idp.test_client().post("/token", headers=bearer(with_idp)).status_code == 200
    block_admin(with_idp).lift(IDP)
    assert ask(page) == (200, None)


def test_service_keys_and_their_users_can_be_blocked(app: Flask, client: FlaskClient) -> None:
    parts = parts_of(app)
    made = KeyAdmin(parts.settings, parts.database, actor="tests").create("backend", on_behalf_of="any")
    headers, admin = {"X-API-Key": made.secret}, block_admin(app)

    def ask_for(subject: str | None) -> tuple[int, str | None]:
        body = {} if subject is None else {"on_behalf_of": subject}
        return result(client.post("/token", json=body, headers=headers))

    assert [ask_for(subject) for subject in (None, "u-1", "u-2")] == [(200, None)] * 3
    admin.block("u-1", f"live-broker:key:{made.key.id}")
    assert ask_for("u-1") == (403, "account-blocked")
    assert ask_for("u-2") == (200, None)
    admin.block(made.key.id, "live-broker:key")
    assert [ask_for(subject) for subject in (None, "u-2")] == [(403, "account-blocked")] * 2


def test_brokers_own_issuer_can_be_blocked(app: Flask, client: FlaskClient) -> None:
    held = bearer(app)
    block_admin(app).block_issuer("live-broker")
    assert result(client.post("/token", headers=held)) == (403, "account-blocked")
    assert result(sign_in(client)) == (403, "account-blocked")


def test_sign_out_with_a_bearer_token_ends_that_token(app: Flask, client: FlaskClient) -> None:
    first, second = bearer(app), bearer(app)
    assert client.post("/auth/logout", headers=first).status_code == 204
    assert result(client.get("/me", headers=first)) == (401, "invalid-token")
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
def test_rejected_operation_changes_and_audits_nothing(app: Flask, wrong: Callable[[Flask], object]) -> None:
    before = count(app, audit)
    with pytest.raises(OperatorError):
        wrong(app)
    assert count(app, audit) == before
    assert count(app, blocks) == 0


def test_block_returns_how_long_google_may_honour_issued_tokens(app: Flask, page: Page) -> None:
    browser, headers = page
    expires_at = browser.post("/token", headers=headers).get_json()["expires_at"]
    until = block_admin(app).block("alice")
    assert until is not None
    assert f"{until:%Y-%m-%dT%H:%M:%SZ}" == expires_at
    assert block_admin(app).block("bob") is None


def test_authentication_takes_one_indexed_read(app: Flask) -> None:
    """For the broker's own bearer token, it reads the user and every block that may apply."""
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


def test_removed_issuer_authenticates_no_one_and_can_still_be_blocked(
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
    assert result(page.post("/token", headers=headers)) == (401, "invalid-token")
    block_admin(later).block_issuer(IDP)
    with pytest.raises(OperatorError):
        block_admin(later).block_issuer("https://never.example")


def test_refused_callers_are_audited(with_idp: Flask) -> None:
    held = bearer(with_idp)
    block_admin(with_idp).block("alice")
    assert result(with_idp.test_client().post("/token", headers=held)) == (403, "account-blocked")
    assert count(with_idp, audit, action="request", outcome="account-blocked") == 1


def test_unblock_restores_no_credential_of_a_subject(with_idp: Flask) -> None:
    page = external_page(with_idp)
    block_admin(with_idp).block("u-1", IDP)
    block_admin(with_idp).unblock("u-1", IDP)
    assert ask(page) == (401, "invalid-token")
    assert ask(external_page(with_idp)) == (200, None)


def test_key_is_blocked_by_its_exact_name_only(app: Flask, client: FlaskClient) -> None:
    parts = parts_of(app)
    made = KeyAdmin(parts.settings, parts.database, actor="tests").create("shop", on_behalf_of="any")
    admin, headers = block_admin(app), {"X-API-Key": made.secret}
    wrong = [("nobody", "live-broker:key"), ("u-1", "live-broker:key:zz"), ("u-1", "live-broker:key:shop!")]
    wrong.append(("Jose\u0301", f"live-broker:key:{made.key.id}"))
    for subject, issuer in wrong:
        with pytest.raises(OperatorError):
            admin.block(subject, issuer)
    assert result(client.post("/token", headers=headers)) == (200, None)
    assert admin.block("shop", "live-broker:key") is not None, (
        "the time until which Google may honour its tokens"
    )
    assert result(client.post("/token", headers=headers)) == (403, "account-blocked")


@pytest.mark.parametrize(
    "subject",
    [
        "علی\N{ZERO WIDTH NON-JOINER}رضا", "Jean\N{NO-BREAK SPACE}Luc", "山田\N{IDEOGRAPHIC SPACE}太郎",
        "a\N{RIGHT-TO-LEFT MARK}b",
    ],
    ids=ascii,
)  # fmt: skip
def test_every_subject_that_can_sign_in_can_be_found_and_blocked(make_app: MakeApp, subject: str) -> None:
    app = make_app(toml=ISSUER)
    page, other = external_page(app, subject), external_page(app, subject + "x")
    assert ask(page) == (200, None)
    olga = app.test_client(use_cookies=False)
    found = olga.get("/admin/users", query_string={"query": subject}, headers=bearer(app, "olga")).get_json()
    assert subject in {user["subject"] for user in found["users"]}
    block_admin(app).block(subject, IDP, reason=f"about {subject}")
    assert ask(page) == (403, "account-blocked")
    assert ask(other) == (200, None)


@pytest.mark.parametrize("subject", ["a\0", "a\nb", "\x1b[2J", "a\x85", "a\ud800"], ids=ascii)
def test_text_with_a_control_character_is_rejected(with_idp: Flask, subject: str) -> None:
    with pytest.raises(OperatorError):
        block_admin(with_idp).block(subject, IDP)
    with pytest.raises(OperatorError):
        block_admin(with_idp).block("alice", reason=subject)
    assert count(with_idp, blocks) == 0


def test_token_that_is_minted_during_the_block_is_not_delivered(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a first token and for a renewal. The answer says until when Google may honour it."""
    parts = parts_of(app)
    held = bearer(app)
    session = client.post("/token", headers=held).get_json()["session"]["id"]
    for path in ("/token", f"/sessions/{session}/token"):
        told: list[datetime | None] = []
        really_mint = parts.minter.mint

        def mint(
            *given: Any,
            told: list[datetime | None] = told,
            really_mint: Callable[..., MintedToken] = really_mint,
            **named: Any,
        ) -> MintedToken:
            token = really_mint(*given, **named)
            told.append(block_admin(app).block("alice"))
            return token

        with monkeypatch.context() as patched:
            patched.setattr(parts.minter, "mint", mint)
            answer = client.post(path, headers=held)
        assert result(answer) == (403, "account-blocked")
        assert told[0] is not None
        assert told[0] > datetime.now(UTC)
        block_admin(app).unblock("alice")
        held = bearer(app)
        assert len(client.get("/me", headers=held).get_json()["sessions"]) == 1
    assert count_audited(app, action="token", outcome="account-blocked") == 2
