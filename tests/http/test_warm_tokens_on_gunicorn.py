"""Warm tokens of a real worker: filled after the fork, counted in /metrics, discarded when it ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

WARM = 2


@pytest.fixture(scope="module")
def standin_of_its_own() -> Iterator[StandIn]:
    with StandIn(port=0) as standin:
        yield standin


@pytest.fixture(scope="module")
def broker(standin_of_its_own: StandIn, make_broker: MakeBroker) -> Iterator[BrokerServer]:
    with closing(make_broker(standin_of_its_own.url, warm=WARM, workers=1)) as server:
        server.add_user("alice")
        server.add_user("olga", roles=["operator"])
        yield server


def figures(broker: BrokerServer) -> dict[str, int]:
    with broker.client("olga") as client:
        text = client.get("/metrics").text
    found = re.findall(r'^broker_warm_tokens_total\{outcome="(\w+)",profile="default"\} (\S+)$', text, re.M)
    return {outcome: int(float(number)) for outcome, number in found}


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.1)


def test_worker_fills_its_shelf_and_discards_it_on_reload(
    broker: BrokerServer, standin_of_its_own: StandIn
) -> None:
    def waiting() -> int:
        """Tokens that Google has made, and that are not counted yet."""
        mints = standin_of_its_own.control.received()["mints"]
        return len([one for one in mints if one["status"] == 200]) - sum(figures(broker).values())

    def ask() -> None:
        with broker.client("alice") as alice:
            assert alice.post("/token").status_code == 200

    for _ in range(WARM):
        ask()
    wait_for(lambda: waiting() == WARM)
    hits = figures(broker)["hit"]
    ask()
    before = figures(broker)
    assert before["hit"] == hits + 1
    wait_for(lambda: waiting() == WARM)
    (old,) = broker.workers()
    broker.reload()
    wait_for(lambda: old not in broker.workers() and len(broker.workers()) == 1)
    wait_for(lambda: waiting() == 0)
    ask()
    assert figures(broker)["miss"] == before["miss"] + 1, "the new worker has none"
    assert figures(broker)["hit"] == before["hit"]
