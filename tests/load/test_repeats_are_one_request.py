"""16 identical requests in one moment, 4 workers, each kind of store: one session, one mint, one charge."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.stores import STORES, Stores

CALLERS, ROUNDS = 16, 2


@pytest.mark.parametrize("kind", STORES)
def test_sixteen_at_once_are_one(stores: Stores, make_broker: MakeBroker, kind: str) -> None:
    with StandIn(port=0) as standin:
        standin.control.scenario("mint-slow", seconds=0.3)
        broker = make_broker(standin.url, workers=4, threads=48, env=stores.migrated(kind).environ)
        broker.add_user("alice")
        headers = {"Authorization": f"Bearer {broker.bearer('alice')}"}
        for number in range(ROUNDS):
            start = threading.Barrier(CALLERS)

            def call(
                _: int, key: str = f"round-{number}", start: threading.Barrier = start
            ) -> tuple[str, str]:
                with httpx2.Client(base_url=broker.url, trust_env=False, timeout=60) as client:
                    start.wait(60)
                    answer = client.post("/token", headers={**headers, "Idempotency-Key": key}).json()
                    return answer["session"]["id"], answer["token"]

            with ThreadPoolExecutor(CALLERS) as threads:
                answers = set(threads.map(call, range(CALLERS)))
            assert len(answers) == 1
            with broker.client("alice") as client:
                limits = client.get("/me").json()["limits"]
            assert limits["sessions"]["open"] == number + 1
            assert limits["minutes_per_day"]["used"] == 15 * (number + 1)
            assert limits["rate"][0]["remaining"] == 1000 - (number + 1)
            assert len(standin.control.received()["mints"]) == number + 1
        broker.close()
