"""`broker suspend` applies to the next request of every worker and of a second host; `resume` lifts it."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import httpx2
import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer
from tests.support.stores import Stores

WORKERS = 4
REQUESTS = 24
Pair = tuple[BrokerServer, BrokerServer]


@pytest.fixture(scope="module")
def hosts(standin: StandIn, make_broker: MakeBroker, stores: Stores) -> Iterator[Pair]:
    """The first one keeps tokens minted ahead."""
    env = {**stores.migrated("postgresql").environ, "BROKER_SECRET_KEY": secrets.token_urlsafe(48)}
    with ExitStack() as running:
        first, second = (
            running.enter_context(closing(make_broker(standin.url, workers=WORKERS, warm=warm, env=env)))
            for warm in (4, 0)
        )
        first.add_user("alice")
        first.add_user("olga", roles=["operator"])
        headers = {"Authorization": f"Bearer {first.bearer('alice')}"}
        for host in (first, second):  # first calls on a busy machine can be so slow that the breaker opens
            until = time.monotonic() + 60
            while ask_every_worker(host, headers) != {"ok": REQUESTS}:
                assert time.monotonic() < until
        yield first, second


def ask_every_worker(broker: BrokerServer, headers: dict[str, str], path: str = "/token") -> Counter[str]:
    """Sends so many requests on new connections at once that every worker answers some."""

    def ask(_: int) -> str:
        answer = httpx2.post(f"{broker.url}{path}", headers=headers, trust_env=False, timeout=60)
        return str(answer.json().get("code", "ok"))

    with ThreadPoolExecutor(REQUESTS) as pool:
        return Counter(pool.map(ask, range(REQUESTS)))


def test_suspend_and_resume_apply_to_next_request_of_every_worker_and_host(hosts: Pair) -> None:
    headers = {"Authorization": f"Bearer {hosts[0].bearer('alice')}"}
    for host in hosts:
        assert ask_every_worker(host, headers) == {"ok": REQUESTS}
    hosts[0].command("suspend", "--reason", "The voice service is down.")
    for host in hosts:
        assert ask_every_worker(host, headers) == {"minting-suspended": REQUESTS}
        answer = httpx2.post(f"{host.url}/token", headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()["detail"]) == (503, "The voice service is down.")
        assert int(answer.headers["Retry-After"]) >= 1
        assert httpx2.get(f"{host.url}/readyz", trust_env=False).status_code == 200
    hosts[1].command("resume")
    for host in hosts:
        assert ask_every_worker(host, headers) == {"ok": REQUESTS}


def test_open_session_renews_unless_renewals_are_suspended(hosts: Pair) -> None:
    """On two sessions, as one may get only four tokens in three seconds."""
    headers = {"Authorization": f"Bearer {hosts[0].bearer('alice')}"}

    def renew_on_both(session_id: str) -> list[str]:
        path = f"/sessions/{session_id}/token"
        answers = (
            httpx2.post(f"{host.url}{path}", headers=headers, json={}, trust_env=False) for host in hosts
        )
        return [str(answer.json().get("code", "ok")) for answer in answers]

    first, second = (
        httpx2.post(f"{hosts[0].url}/token", headers=headers, trust_env=False).json()["session"]["id"]
        for _ in range(2)
    )
    hosts[0].command("suspend", "--reason", "New conversations only.")
    assert renew_on_both(first) == ["ok", "ok"]
    hosts[0].command("suspend", "--reason", "Everything stops.", "--renewals")
    assert renew_on_both(first) == renew_on_both(second) == ["minting-suspended", "minting-suspended"]
    hosts[0].command("resume")
    assert renew_on_both(second) == ["ok", "ok"]


def test_only_named_profiles_are_suspended(hosts: Pair) -> None:
    headers = {"Authorization": f"Bearer {hosts[0].bearer('alice')}"}

    def ask(profile: str) -> str:
        answer = httpx2.post(
            f"{hosts[0].url}/token", headers=headers, json={"profile": profile}, trust_env=False
        )
        return str(answer.json().get("code", "ok"))

    hosts[0].command("suspend", "--profile", "storyteller", "--reason", "The storyteller rests.")
    assert (ask("storyteller"), ask("default")) == ("minting-suspended", "ok")
    hosts[0].command("resume")
    assert ask("storyteller") == "ok"
