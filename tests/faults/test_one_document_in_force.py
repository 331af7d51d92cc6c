"""broker.toml is edited while the broker runs: one document is in force throughout, and no request fails."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

# Several, because the minutes of one would be used up.
CALLERS = [f"caller{number}" for number in range(8)]


@pytest.fixture(scope="module")
def server(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    made = make_broker(standin.url, rate="90000/minute", project_sessions=100_000, workers=2)
    for name in ("alice", *CALLERS):
        made.add_user(name)
    return made


@contextmanager
def traffic(server: BrokerServer) -> Iterator[list[int | str]]:
    """Yields the outcomes of mints that two threads ask for all the time, each on a new connection."""
    outcomes: list[int | str] = []
    stop = threading.Event()
    bearers = [server.bearer(name) for name in CALLERS]

    def ask() -> None:
        for bearer in itertools.cycle(bearers):
            if stop.is_set():
                return
            headers = {"Authorization": f"Bearer {bearer}"}
            try:
                answer = httpx2.post(f"{server.url}/token", headers=headers, trust_env=False, timeout=20)
                outcomes.append(answer.status_code)
            except httpx2.TransportError as fault:
                outcomes.append(repr(fault))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def policies(server: BrokerServer) -> set[str]:
    """The rate of alice in several answers, each on a new connection."""
    headers = {"Authorization": f"Bearer {server.bearer('alice')}"}

    def ask() -> str:
        answer = httpx2.post(f"{server.url}/token", headers=headers, trust_env=False, timeout=20)
        return str(answer.json()["limits"]["rate"][0]["policy"])

    return {ask() for _ in range(8)}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def replace_workers(server: BrokerServer, act: Callable[[], None]) -> None:
    before = set(server.workers())
    act()
    wait_until(lambda: not before & set(server.workers()) and len(server.workers()) == 2)


def end_each(server: BrokerServer) -> None:
    for pid in server.workers():
        os.kill(pid, signal.SIGTERM)


def test_one_valid_document_is_in_force_throughout(server: BrokerServer) -> None:
    path = Path(server.environ["BROKER_CONFIG"])
    second = path.read_text().replace('"90000/minute"', '"80000/minute"')
    with traffic(server) as outcomes:
        path.write_text(second)
        replace_workers(server, lambda: end_each(server))
        assert policies(server) == {"90000/minute"}, "an edited document is not in force yet"
        path.write_text("[plans.default]\nrate =")
        replace_workers(server, lambda: end_each(server))
        assert policies(server) == {"90000/minute"}, "a worker does not read a broken document"
        replace_workers(server, server.reload)
        assert policies(server) == {"90000/minute"}, "a broken document is never in force"
        path.unlink()
        replace_workers(server, server.reload)
        assert policies(server) == {"90000/minute"}, "nor is one that is gone"
        path.write_text(second)
        replace_workers(server, server.reload)
        assert policies(server) == {"80000/minute"}, "SIGHUP takes over a valid document"
    assert set(outcomes) == {200}
    assert len(outcomes) > 20
    assert server.log.count("The settings in force stay") == 2
    assert "is not TOML" in server.log
