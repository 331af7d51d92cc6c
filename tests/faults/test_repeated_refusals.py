"""A client that is refused again and again fills neither log nor audit trail, and its count is exact."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from broker.standin import StandIn
from broker.store.database.tables import audit
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

MOST = 60
"""Rows or lines: a few for each worker and each minute that the test may take."""


@pytest.mark.parametrize("many", [800, pytest.param(3000, marks=pytest.mark.long)])
def test_repeated_refusals_are_counted(standin: StandIn, make_broker: MakeBroker, many: int) -> None:
    broker = make_broker(standin.url, workers=2, rate="1/minute")
    for name in ("alice", "bob", "carol"):
        broker.add_user(name)

    be_refused(broker, "carol", 40, connections=4)
    before = broker.workers()
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_for_others(broker, before)
    assert 1 <= audited(broker, "carol", "forbidden")[1] <= 40, "a killed worker loses its counts at most"

    be_refused(broker, "alice", many, connections=8)
    be_refused(broker, "bob", 200, connections=4)
    be_refused(broker, None, 300, connections=4)
    with broker.client("alice") as alice:
        statuses = [alice.post("/token").status_code for _ in range(31)]
    assert Counter(statuses) == {200: 1, 429: 30}
    broker.terminate()
    assert broker.exit_code() == 0

    for name, code, times in (
        ("alice", "forbidden", many),
        ("bob", "forbidden", 200),
        ("alice", "rate-limited", 30),
    ):
        rows, counted = audited(broker, name, code)
        assert counted == times, (name, code)
        assert rows <= MOST
        lines = logged(broker, subject=name, code=code)
        assert sum(line.get("times", 1) for line in lines) == times, (name, code)
        assert len(lines) <= MOST
        assert all(line["request_id"] for line in lines)
    lines = logged(broker, code="missing-credentials")
    assert sum(line.get("times", 1) for line in lines) == 300
    assert len(lines) <= MOST
    assert all(line["address"] == "127.0.0.1" for line in lines if "times" in line)


def be_refused(broker: BrokerServer, username: str | None, times: int, *, connections: int) -> None:
    """Asks as an operator would. Each connection may lead to another worker."""
    headers = {"Authorization": f"Bearer {broker.bearer(username)}"} if username else {}

    def ask(many: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=60)
        for _ in range(many):
            connection.request("GET", "/admin/usage", headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == (403 if username else 401)
        connection.close()

    with ThreadPoolExecutor(connections) as threads:
        list(threads.map(ask, [times // connections] * connections))


def audited(broker: BrokerServer, name: str, code: str) -> tuple[int, int]:
    """(rows, how many refusals they stand for)."""
    query = select(func.count(), func.coalesce(func.sum(audit.c.times), 0)).where(
        audit.c.actor == f"live-broker:{name}", audit.c.outcome == code
    )
    with broker.database.read() as connection:
        rows, times = connection.execute(query).one()
    return int(rows), int(times)


def logged(broker: BrokerServer, **fields: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in broker.log.splitlines() if line.startswith("{")]
    return [
        line
        for line in lines
        if line["event"] == "request" and all(line.get(key) == value for key, value in fields.items())
    ]


def wait_for_others(broker: BrokerServer, killed: list[int]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if len(broker.workers()) == len(killed) and not set(broker.workers()) & set(killed):
            return
        time.sleep(0.05)
    raise AssertionError("no new workers")
