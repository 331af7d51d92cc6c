"""A conversation that reaches its budget: the page knows when, Google ends it, and the cost is exact."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from broker.principal import OWN_ISSUER, principal_key
from broker.standin import StandIn
from broker.store.database.sum_tables import spending
from tests.browser.conftest import Service
from tests.browser.stage_server import StageServer
from tests.browser.support import Bench, wait_for
from tests.support.environment import write_config

# A minute costs 0.023, so 0.008 is enough for 20 seconds.
BUDGET, SECONDS = "budget_per_month = 0.008", 20
NANOS = -(-SECONDS * 23_000_000 // 60)


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("stage")
    config = write_config(folder, more=BUDGET)
    with StandIn(port=0) as standin, StageServer(folder, standin.url, config=config) as broker:
        yield Service(standin, broker)


def spent(service: Service) -> int:
    of = principal_key(OWN_ISSUER, "alice")
    with service.broker.database.read() as connection:
        month = select(spending.c.nanos).where(spending.c.key == of, func.length(spending.c.period) == 7)
        return int(connection.execute(month).scalar_one())


@pytest.mark.long
def test_call_that_reaches_its_budget_is_told_before_and_ended_by_google(
    bench: Bench, service: Service
) -> None:
    assert bench.start(microphone=False) is None
    known = wait_for("the time left", lambda: bench.events("clock"))[0]["detail"]
    assert 0 < known["remainingMs"] <= SECONDS * 1000
    assert bench.state() == "listening", "it is told while the call goes on"
    assert spent(service) == NANOS, "reserved for all of the token's time"
    bench.say("/long 60")
    bench.wait_state("ended", 60)
    ended = bench.events("statechange")[-1]["detail"]
    assert ended["error"]["reason"] == "budget-exhausted"
    assert bench.events("error") == []
    [connection] = service.standin.control.received()["connections"]
    assert connection["closed"]["reason"] == "token-expired", connection["closed"]
    assert spent(service) == NANOS, "settled to the cent"
    refused = bench.start(microphone=False)
    assert (refused["reason"], refused["status"]) == ("budget-exhausted", 429)
