"""Two brokers that share PostgreSQL and Redis, as on two hosts, answer like one broker."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import httpx2
import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.servers import PASSWORD, BrokerServer
from tests.support.stores import Stores
from tests.support.warm import WARM_PLAN, warm_up

NARROW = """
[plans.narrow]
rate = "10/minute"
sessions = 1000
minutes_per_day = 10000
session_minutes = 30
"""
Pair = tuple[BrokerServer, BrokerServer]


@pytest.fixture(scope="module")
def pair(standin: StandIn, make_broker: MakeBroker, stores: Stores) -> Iterator[Pair]:
    env = {
        **stores.migrated("postgresql+redis").environ,
        "BROKER_SECRET_KEY": secrets.token_urlsafe(48),
    }
    with ExitStack() as running:
        first, second = (
            running.enter_context(
                closing(make_broker(standin.url, toml=NARROW + WARM_PLAN, workers=2, env=env))
            )
            for _ in range(2)
        )
        for broker in (first, second):
            warm_up(broker)
        yield first, second


def status_and_code(answer: httpx2.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


def test_rate_limit_counts_requests_to_both_brokers(pair: Pair) -> None:
    pair[0].add_user("nora", plan="narrow")
    headers = {"Authorization": f"Bearer {pair[0].bearer('nora')}"}

    def call(number: int) -> tuple[int, str | None]:
        with pair[number % 2].client() as client:
            return status_and_code(client.post("/token", headers=headers))

    with ThreadPoolExecutor(32) as threads:
        answers = Counter(threads.map(call, range(64)))
    assert answers == {(200, None): 10, (429, "rate-limited"): 54}


def test_one_broker_renews_and_ends_a_session_of_the_other(pair: Pair) -> None:
    pair[0].add_user("sam")
    with pair[0].client("sam") as first, pair[1].client("sam") as second:
        session = first.post("/token").json()["session"]["id"]
        assert second.post(f"/sessions/{session}/token").status_code == 200
        assert second.post(f"/sessions/{session}/heartbeat").json()["state"] == "open"
        assert second.delete(f"/sessions/{session}").status_code == 200
        assert first.post(f"/sessions/{session}/heartbeat").json()["state"] == "ended"
        assert status_and_code(first.post(f"/sessions/{session}/token")) == (409, "session-ended")


def test_sign_in_and_sign_out_apply_to_both_brokers(pair: Pair) -> None:
    pair[1].add_user("ines")
    with pair[0].client() as first, pair[1].client() as second:
        answer = first.post("/auth/login", json={"username": "ines", "password": PASSWORD})
        cookie = {"Cookie": f"live-broker={re.split('[=;]', answer.headers['set-cookie'])[1]}"}
        first.cookies.clear()
        assert [client.get("/me", headers=cookie).status_code for client in (first, second)] == [200, 200]
        csrf = {"X-CSRF-Token": answer.json()["csrf_token"], "Origin": pair[1].url}
        assert second.post("/auth/logout", headers={**cookie, **csrf}).status_code == 204
        assert status_and_code(first.get("/me", headers=cookie)) == (401, "invalid-token")


def test_block_set_through_one_broker_applies_to_the_other(pair: Pair) -> None:
    pair[0].add_user("bella")
    with pair[1].client("bella") as second:
        assert second.post("/token").status_code == 200
        pair[0].block_admin.block("bella")
        assert status_and_code(second.post("/token")) == (403, "account-blocked")


def test_wrong_passwords_at_one_broker_count_at_the_other(pair: Pair) -> None:
    pair[0].add_user("gina")
    wrong = {"username": "gina", "password": "a guess"}
    with pair[0].client() as first, pair[1].client() as second:
        codes = [first.post("/auth/login", json=wrong).json()["code"] for _ in range(5)]
        assert codes == ["bad-login"] * 5
        assert second.post("/auth/login", json=wrong).json()["code"] == "login-throttled"
