"""Parallel callers, several gunicorn workers, every kind of store: never one token more than the limit."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx2
import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.stores import STORES, Stores
from tests.support.warm import WARM_PLAN, warm_up

CALLERS = 64
WORKERS, THREADS = 4, 32  # as many threads as by default: the server must have connections for them all


@pytest.mark.parametrize("kind", STORES)
def test_64_callers_of_one_user_get_exactly_10_tokens(
    make_broker: MakeBroker, stores: Stores, kind: str
) -> None:
    env = stores.migrated(kind).environ
    with (
        StandIn(port=0) as standin,
        closing(
            make_broker(
                standin.url, rate="10/minute", toml=WARM_PLAN, workers=WORKERS, threads=THREADS, env=env
            )
        ) as broker,
    ):
        warm_up(broker)
        before = len(standin.control.received()["mints"])
        broker.add_user("alice")
        headers = {"Authorization": f"Bearer {broker.bearer('alice')}"}
        start = threading.Barrier(CALLERS)

        def call(_: int) -> tuple[int, str]:
            with httpx2.Client(base_url=broker.url, headers=headers, trust_env=False, timeout=60) as client:
                start.wait(60)
                answer = client.post("/token")
                return answer.status_code, answer.json().get("token") or answer.json()["code"]

        with ThreadPoolExecutor(CALLERS) as threads:
            answers = list(threads.map(call, range(CALLERS)))
        codes = Counter(code if status != 200 else "ok" for status, code in answers)
        assert codes == {"ok": 10, "rate-limited": 54}
        assert len({token for status, token in answers if status == 200}) == 10
        assert len(standin.control.received()["mints"]) - before == 10
