"""Tokens minted ahead, through HTTP and with the stand-in, on each kind of database."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from broker.operators.users import UserAdmin
from broker.parts import parts_of
from broker.standin import StandIn
from broker.store.database.tables import tokens
from broker.telemetry.metrics import WARM_TOKENS
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer
from tests.standin.client import address, opened
from tests.support.counts import wrong_counts
from tests.support.servers import PASSWORD
from tests.support.shelves import tokens_on
from tests.support.stores import DATABASES, Stores

WARM = 3


class Service:
    def __init__(self, app: Flask, standin: StandIn) -> None:
        self.app = app
        self.standin = standin
        self.client = app.test_client(use_cookies=False)
        self.headers = bearer(app)

    def ask(self, **headers: str) -> Any:
        return self.client.post("/token", headers={**self.headers, **headers}, json={}).get_json()

    def mints(self) -> list[dict[str, Any]]:
        mints: list[dict[str, Any]] = self.standin.control.received()["mints"]
        return mints

    def fill(self) -> None:
        """As many requests as the shelf has places, and the wait for the tokens that replace theirs."""
        for _ in range(WARM):
            self.ask()
        issuer = parts_of(self.app).issuer
        shelf = issuer.first.warm_tokens.shelf("default")
        assert shelf
        plan = issuer.minter.token_plan(shelf.profile)
        wait_for(lambda: tokens_on(shelf, plan) == WARM)


def figures() -> dict[str, float]:
    names = ("hit", "miss", "wasted")
    return {name: WARM_TOKENS.labels("default", name)._value.get() for name in names}


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(params=DATABASES)
def service(request: pytest.FixtureRequest, make_app: MakeApp, stores: Stores) -> Iterator[Service]:
    with StandIn(port=0) as standin:
        app = make_app(warm=WARM, live_url=standin.url, env=stores.migrated(request.param).environ)
        parts = parts_of(app)
        admin = UserAdmin(parts.settings, parts.database, actor="tests")
        for name, roles in (("alice", []), ("olga", ["operator"])):
            admin.add(name, PASSWORD, roles=roles)
        service = Service(app, standin)
        service.fill()
        yield service
        parts.issuer.first.warm_tokens.close()
        # They may be in the middle of a read, and the database is disposed of next.
        wait_for(lambda: not any(thread.name == "warm-token" for thread in threading.enumerate()))


def test_warm_token_opens_a_connection_and_is_charged_for_the_life_that_google_gave_it(
    service: Service,
) -> None:
    before, minted = figures(), len(service.mints())
    asked_at = datetime.now(UTC)
    answer = service.ask()
    assert figures()["hit"] == before["hit"] + 1
    parts = parts_of(service.app)
    with parts.database.read() as connection:
        row = connection.execute(select(tokens).where(tokens.c.session_id == answer["session"]["id"])).one()
    mint = next(one for one in service.mints() if one.get("token_sha256") == row.token_sha256)
    assert mint["ms"] / 1000 < asked_at.timestamp(), "it was minted before it was asked for"
    assert service.mints().index(mint) < minted
    expires_at, connect_by = (
        datetime.fromisoformat(mint["body"][name]) for name in ("expireTime", "newSessionExpireTime")
    )
    assert (row.expires_at, row.connect_by) == (expires_at, connect_by)
    life = (expires_at - row.reserved_at).total_seconds()
    assert row.seconds == math.ceil(life)
    assert 900 <= life <= 920
    assert 900 <= answer["expires_in"] <= 920
    assert 120 <= answer["connect_within"] <= 140
    assert datetime.fromisoformat(answer["expires_at"]) == expires_at.replace(microsecond=0)
    assert row.mint_ms == 0
    with opened(address(service.standin, f"?access_token={answer['token']}")) as talker:
        talker.send({"setup": answer["setup"]})
        assert talker.next() == {"setupComplete": {}}
    assert wrong_counts(parts.database) == []


def test_repeated_request_gets_the_same_warm_token(service: Service) -> None:
    hits = figures()["hit"]
    first, second = (service.ask(**{"Idempotency-Key": "once-and-again"}) for _ in range(2))
    assert (first["token"], first["session"]["id"]) == (second["token"], second["session"]["id"])
    assert figures()["hit"] == hits + 1


def test_suspension_leaves_none_to_be_handed_out_and_stops_the_refill(service: Service) -> None:
    olga = OperatorClient.of(service.app)
    before = figures()
    olga.post("suspension", {"suspended": True, "reason": "Something is wrong.", "profiles": ["default"]})
    assert service.ask()["code"] == "minting-suspended"
    wait_for(lambda: figures()["wasted"] >= before["wasted"] + WARM)
    minted = len(service.mints())
    time.sleep(1.2)  # longer than the pool needs to look again
    assert (len(service.mints()), figures()["hit"]) == (minted, before["hit"])
    olga.post("suspension", {"suspended": False})
    assert "token" in service.ask()


def test_failing_google_costs_the_caller_nothing_but_its_own_request(service: Service) -> None:
    """Failures of tokens that no one waits for do not open the circuit breaker."""
    service.standin.control.scenario("mint-status", status=503)
    for _ in range(WARM):
        assert "token" in service.ask(), "the warm ones"
    wait_for(lambda: sum(one["status"] == 503 for one in service.mints()) >= 1)
    assert service.ask()["code"] == "upstream-error"
    service.standin.control.reset()
    assert "token" in service.ask()
