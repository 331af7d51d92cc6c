"""Blocks, new passwords and sign-outs by the command line apply to the next request on every worker."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.servers import PASSWORD, BrokerServer

WORKERS = 4
REQUESTS = 32


@pytest.fixture(scope="module")
def served(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    broker = make_broker(standin.url, workers=WORKERS)
    for name in ("alice", "bob", "carol"):
        broker.add_user(name)
    return broker


def bearer_and_cookie(broker: BrokerServer, username: str) -> tuple[dict[str, str], dict[str, str]]:
    with broker.client() as client:
        answer = client.post("/auth/login", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 200
    cookie = re.split("[=;]", answer.headers["set-cookie"])[1]
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}, {"Cookie": f"live-broker={cookie}"}


def on_every_worker(broker: BrokerServer, headers: dict[str, str]) -> Counter[tuple[int, str]]:
    """Sends so many requests on new connections at once that every worker answers some."""

    def ask(_: int) -> tuple[int, str]:
        answer = httpx2.get(f"{broker.url}/me", headers=headers, trust_env=False, timeout=60)
        return answer.status_code, answer.json().get("code", "ok")

    with ThreadPoolExecutor(16) as pool:
        return Counter(pool.map(ask, range(REQUESTS)))


ACTS: dict[str, tuple[str, Callable[[BrokerServer], str], tuple[int, str], tuple[int, str]]] = {
    "block": (
        "alice",
        lambda broker: broker.command("users", "block", "alice"),
        (403, "account-blocked"),
        (403, "account-blocked"),
    ),
    "password": (
        "bob",
        lambda broker: broker.command("users", "password", "bob", stdin="another password\n"),
        (401, "invalid-token"),
        (401, "invalid-token"),
    ),
    "sign-out": (
        "carol",
        lambda broker: broker.command("users", "sign-out", "carol"),
        (401, "invalid-token"),
        (401, "invalid-token"),
    ),
}


@pytest.mark.parametrize(("username", "act", "of_bearer", "of_cookie"), ACTS.values(), ids=ACTS)
def test_command_applies_to_next_request_on_every_worker(
    served: BrokerServer,
    username: str,
    act: Callable[[BrokerServer], str],
    of_bearer: tuple[int, str],
    of_cookie: tuple[int, str],
) -> None:
    bearer, cookie = bearer_and_cookie(served, username)
    # Every worker sees both first, so a worker that cached them would accept them again.
    assert on_every_worker(served, bearer) == {(200, "ok"): REQUESTS}
    assert on_every_worker(served, cookie) == {(200, "ok"): REQUESTS}
    act(served)
    assert on_every_worker(served, bearer) == {of_bearer: REQUESTS}
    assert on_every_worker(served, cookie) == {of_cookie: REQUESTS}


def test_unblocking_applies_on_every_worker(served: BrokerServer) -> None:
    served.add_user("dave")
    served.command("users", "block", "dave")
    served.command("users", "unblock", "dave")
    bearer, _ = bearer_and_cookie(served, "dave")
    assert on_every_worker(served, bearer) == {(200, "ok"): REQUESTS}
