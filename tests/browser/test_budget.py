"""A conversation that reaches its budget: the page knows before, and the cost is exact."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from broker.principal import OWN_ISSUER, principal_key
from broker.standin import StandIn
from broker.store.database.sum_tables import spending
from tests.browser.conftest import Service
from tests.browser.stage_server import StageServer
from tests.browser.support import Bench
from tests.support.environment import write_config

# A minute costs 0.023, so 0.008 is enough for 20 seconds.
BUDGET, SECONDS = "budget_per_month = 0.008", 20


def cost(seconds: int) -> int:
    return -(-seconds * 23_000_000 // 60)


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
def test_call_that_reaches_its_budget_is_told_before_it_ends(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    assert spent(service) == cost(SECONDS), "reserved for all of the token's time"

    def told() -> list[int]:
        return [one["at"] for one in bench.events("clock") if one["detail"]["remainingMs"] <= SECONDS * 1000]

    bench.say("/long 60")
    bench.wait_state("ended", 60)
    last = bench.events("statechange")[-1]
    # The broker refused another token before this one expired.
    assert told()[0] < last["at"]
    assert last["detail"]["error"]["reason"] == "session-ended"
    assert "budget" in last["detail"]["error"]["detail"]
    assert bench.events("error") == []
    # The page leaves a moment before Google would end it, and gets unused seconds back.
    assert spent(service) in {cost(SECONDS - back) for back in range(4)}
    refused = bench.start(microphone=False)
    assert (refused["code"], refused["status"]) == ("budget-exhausted", 429)
