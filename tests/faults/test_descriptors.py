"""No file descriptors are left: clients wait or get a code of the store or of Google, and it heals alone."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.faults.caller import Caller
from tests.support.slow_clients import silent
from tests.support.stores import Stores

CODES = {"ok", "store-unavailable", "upstream-error", "busy"}


@contextmanager
def spare_descriptors(pid: int, number: int) -> Iterator[None]:
    """The process may open so many files more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - numbers
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + number, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql+redis"])
def test_descriptors_run_out_and_come_back(
    standin: StandIn, make_broker: MakeBroker, stores: Stores, kind: str
) -> None:
    broker = make_broker(standin.url, workers=1, env=stores.migrated(kind).environ)
    caller = Caller(broker, "alice")
    (worker,) = broker.workers()
    with ExitStack() as held, broker.client("alice") as kept:
        assert kept.get("/healthz").status_code == 200
        held.enter_context(spare_descriptors(worker, 2))
        for _ in range(20):
            held.enter_context(silent(broker.port))
        answers = [answer for _ in range(5) if (answer := ask(kept)) is not None]
        caller.granted += sum(answer.status_code == 200 for answer in answers)
        codes = {str(answer.json().get("code", "ok")) for answer in answers}
    assert answers
    assert codes <= CODES
    assert broker.workers() == [worker]
    caller.check_healed()


def ask(client: httpx2.Client) -> httpx2.Response | None:
    """On its kept connection; None if that was closed, and no new one is accepted."""
    try:
        return client.post("/token", timeout=5)
    except httpx2.TransportError:
        return None
