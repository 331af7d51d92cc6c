"""A credential that a sign-out has ended stays ended, whatever operators block and unblock afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from flask import Flask

from broker.operators.errors import EditConflict
from broker.store.database.tables import blocks
from tests.http.conftest import MakeApp, bearer, block_admin, user_admin
from tests.http.test_blocks import count
from tests.support.hostile_provider import HostileProvider
from tests.support.issuers import claims
from tests.support.provider import entry

Headers = dict[str, str]


class SteppedClock:
    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with HostileProvider() as running:
        yield running


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def app(make_app: MakeApp, provider: HostileProvider, clock: SteppedClock) -> Flask:
    return make_app(toml=entry("fake", provider.url), clock=clock)


def status(app: Flask, headers: Headers) -> int:
    return app.test_client(use_cookies=False).get("/me", headers=headers).status_code


def token_id(headers: Headers) -> str:
    said = jwt.decode(headers["Authorization"].split()[1], options={"verify_signature": False})
    return str(said["jti"])


def logged_out(app: Flask) -> Headers:
    """A bearer of ours whose holder has signed out with it."""
    held = bearer(app)
    assert app.test_client(use_cookies=False).post("/auth/logout", headers=held).status_code == 204
    assert status(app, held) == 401
    return held


def test_lifting_the_block_of_a_token_does_not_undo_its_sign_out(app: Flask) -> None:
    held = logged_out(app)
    jti, admin = token_id(held), block_admin(app)
    with pytest.raises(EditConflict):
        admin.lift("live-broker", jti)
    admin.block_token("live-broker", jti, reason="seen in a log")
    with pytest.raises(EditConflict):
        admin.lift("live-broker", jti)
    assert status(app, held) == 401
    assert count(app, blocks, kind="jti") == 1


def test_token_that_only_an_operator_blocked_works_again(app: Flask) -> None:
    held, admin = bearer(app), block_admin(app)
    for _ in range(2):
        admin.block_token("live-broker", token_id(held))
        assert status(app, held) == 401
        admin.lift("live-broker", token_id(held))
        assert status(app, held) == 200


@pytest.mark.parametrize("round_trip", ["user", "issuer"])
def test_unblocking_does_not_undo_the_sign_out_of_a_user(app: Flask, round_trip: str) -> None:
    held, later, admin = logged_out(app), bearer(app), block_admin(app)
    if round_trip == "user":
        admin.block("alice")
        admin.unblock("alice")
    else:
        admin.block_issuer("live-broker")
        assert status(app, later) == 403
        admin.lift("live-broker")
        assert status(app, later) == 200
    assert status(app, held) == 401


ROUND_TRIPS: dict[str, Callable[[Flask, str], Any]] = {
    "blocked once": lambda app, issuer: _round(app, issuer, 1),
    "blocked twice": lambda app, issuer: _round(app, issuer, 2),
    "the issuer blocked": lambda app, issuer: _round_of_issuer(app, issuer),
    "signed out again": lambda app, issuer: user_admin(app).sign_out("user-1", issuer),
}  # fmt: skip


def _round_of_issuer(app: Flask, issuer: str) -> None:
    block_admin(app).block_issuer(issuer)
    block_admin(app).lift(issuer)


def _round(app: Flask, issuer: str, times: int) -> None:
    for _ in range(times):
        block_admin(app).block("user-1", issuer)
    block_admin(app).unblock("user-1", issuer)


@pytest.mark.parametrize("clock_step", [0, -90], ids=["steady clock", "clock set back"])
@pytest.mark.parametrize("round_trip", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_bearers_of_another_issuer_stay_ended(
    app: Flask,
    provider: HostileProvider,
    clock: SteppedClock,
    round_trip: Callable[[Flask, str], Any],
    clock_step: int,
) -> None:
    said = claims(provider.url, aud="an-api")
    held = {"Authorization": f"Bearer {provider.signer.token(said)}"}
    assert status(app, held) == 200
    user_admin(app).sign_out("user-1", provider.url)
    assert status(app, held) == 401
    clock.ahead = timedelta(seconds=clock_step)
    round_trip(app, provider.url)
    assert status(app, held) == 401
