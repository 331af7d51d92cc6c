"""warm_up: every worker has loaded the SDK and heard from Google which models there are.

Until a worker has, of callers that come together one asks and the others are told `busy` after a while;
a test that counts grants would count those.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.support.servers import BrokerServer

# One session, so that warming up takes no more than one place.
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
        # On a connection of its own, so that some worker that is free takes it.
        return httpx2.post(f"{broker.url}/token", headers=headers, trust_env=False, timeout=60).status_code

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in range(_ROUNDS):
            if set(threads.map(ask, range(_AT_ONCE))) <= {200, 429}:
                return
    raise RuntimeError(f"the broker is busy for ever:\n{broker.log}")
