"""After SIGTERM the broker finishes accepted requests, refuses late ones, and leaves no reservation open."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx2
import pytest
from sqlalchemy import func, select

from broker.standin import StandIn
from broker.store.database.tables import tokens
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

CALLERS = 32
WORKERS = 4
REFUSED = "refused to connect"


def call_until_refused(
    broker: BrokerServer, headers: dict[str, str], started: Callable[[], object]
) -> Counter[str]:
    """Repeats POST /token, on a kept connection while the server allows it, until the port is closed."""
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with closing(http.client.HTTPConnection("127.0.0.1", broker.port, timeout=30)) as connection:
            try:
                connection.connect()
            except ConnectionRefusedError:
                outcomes[REFUSED] += 1
                return outcomes
            while True:
                connection.request("POST", "/token", headers=headers)
                answer = connection.getresponse()
                body = json.loads(answer.read())
                outcomes[str(body.get("code", "ok"))] += 1
                started()
                if answer.getheader("Connection") == "close":
                    break
    raise AssertionError("the broker never stopped listening")


@pytest.fixture
def broker(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    server = make_broker(standin.url, workers=WORKERS, threads=16)
    server.add_user("alice")
    return server


def test_sigterm_under_load_loses_no_accepted_request(standin: StandIn, broker: BrokerServer) -> None:
    standin.control.scenario("mint-slow", seconds=0.15)
    headers = {"Authorization": f"Bearer {broker.bearer('alice')}"}
    answered = threading.Semaphore(0)
    with ThreadPoolExecutor(CALLERS) as threads:
        callers = [
            threads.submit(call_until_refused, broker, headers, answered.release) for _ in range(CALLERS)
        ]
        for _ in range(2 * CALLERS):
            assert answered.acquire(timeout=30)
        broker.terminate()
        # A reset or a cut answer raises in the caller, and so here.
        outcomes = sum((caller.result(90) for caller in callers), Counter[str]())
    assert broker.exit_code() == 0
    assert set(outcomes) <= {"ok", "draining", REFUSED}
    assert outcomes[REFUSED] == CALLERS
    with broker.database.read() as connection:
        rows = connection.execute(select(tokens.c.state, func.count()).group_by(tokens.c.state))
        states = {state: count for state, count in rows}  # noqa: C416 - typed, unlike dict(rows)
    assert states == {"issued": outcomes["ok"]}


def test_kept_connection_gets_draining_after_sigterm(standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, workers=1)
    with closing(http.client.HTTPConnection("127.0.0.1", broker.port, timeout=10)) as connection:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        broker.terminate()
        wait_until(lambda: refuses_connections(broker))
        connection.request("POST", "/token")
        answer = connection.getresponse()
        body = json.loads(answer.read())
    assert (answer.status, body["code"], answer.getheader("Connection")) == (503, "draining", "close")
    assert answer.getheader("Retry-After") is not None
    assert broker.exit_code() == 0


def test_readiness_fails_before_listener_closes(standin: StandIn, make_broker: MakeBroker) -> None:
    """A load balancer has time to choose another host while the broker still serves every request."""
    broker = make_broker(standin.url, workers=2, env={"BROKER_DRAIN_SECONDS": "2"})
    broker.add_user("alice")
    headers = {"Authorization": f"Bearer {broker.bearer('alice')}"}
    broker.terminate()
    wait_until(lambda: broker_get(broker, "/readyz").status_code == 503)
    assert broker_get(broker, "/readyz").json()["code"] == "draining"
    assert broker_get(broker, "/healthz").status_code == 200
    assert httpx2.post(f"{broker.url}/token", headers=headers, trust_env=False).status_code == 200
    assert broker.exit_code() == 0


def broker_get(broker: BrokerServer, path: str) -> httpx2.Response:
    return httpx2.get(f"{broker.url}{path}", trust_env=False, timeout=10)


def refuses_connections(broker: BrokerServer) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", broker.port, timeout=5)) as connection:
        try:
            connection.connect()
        except ConnectionRefusedError:
            return True
    return False


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
