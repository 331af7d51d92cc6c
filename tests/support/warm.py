"""warm_up: makes every worker load the SDK and ask Google which models exist.

Until a worker has done so, one of several concurrent callers asks, and the others get `busy` after a while.
A test that counts tokens would count those responses.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.support.servers import BrokerServer

# One session, so that the warm-up takes one place at most.
WARM_PLAN = """
[plans.warm]
rate = "1000/minute"
sessions = 1
minutes_per_day = 10000
session_minutes = 30
"""
_AT_ONCE, _ROUNDS = 16, 50


def warm_up(broker: BrokerServer) -> None:
    """Needs `WARM_PLAN` in the broker's configuration."""
    name = f"warm-{broker.port}"
    broker.add_user(name, plan="warm")
    headers = {"Authorization": f"Bearer {broker.bearer(name)}"}

    def ask(_: int) -> int:
        # On a new connection, so that an idle worker takes it.
        return httpx2.post(f"{broker.url}/token", headers=headers, trust_env=False, timeout=60).status_code

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in range(_ROUNDS):
            if set(threads.map(ask, range(_AT_ONCE))) <= {200, 429}:
                return
    raise RuntimeError(f"the broker stayed busy:\n{broker.log}")
