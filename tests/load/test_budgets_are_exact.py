"""64 callers in one moment, four workers, each kind of store: a budget is spent to the second, never over it.
Each of its thresholds is reported once.

One broker serves all tests of a kind, and the last one spends what is left of the project's budget.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from broker.principal import OWN_ISSUER, principal_key
from broker.settings import PriceList
from broker.settings.amounts import NANOS
from broker.store.database.sum_tables import spending
from broker.store.database.tables import sessions
from tests.conftest import MakeBroker
from tests.support.counts import wrong_counts
from tests.support.four_workers import (
    CALLERS,
    MANY_CALLERS,
    ROUNDS,
    Service,
    codes,
    four_workers_on,
    opened,
)
from tests.support.stores import STORES, Stores

# Each kind of owner. Before a release (ROUNDS=200): about 200 rounds together.
EACH = max(1, (ROUNDS - 9) // 4)
PROJECT_BUDGET = 24 + 7 * EACH
# All are new users, who wait for the key. Beside other tests, some of 64 would wait too long.
OF_A_KEY = MANY_CALLERS if EACH > 1 else CALLERS
# A slice of 900 s costs 0.345: four of them, and 443 s.
ONE = {"budget_per_month": "1.55"}
SHORTEST_SECONDS = 10


@pytest.fixture(scope="module", params=STORES)
def service(request: pytest.FixtureRequest, stores: Stores, make_broker: MakeBroker) -> Iterator[Service]:
    env = stores.migrated(request.param).environ
    budget = f"budget_per_day = {PROJECT_BUDGET}"
    with four_workers_on(env, make_broker, project_sessions=1000, project=budget) as running:
        yield running


def spent(service: Service, key: str = "project") -> int:
    """Nanos, today."""
    with service.broker.database.read() as connection:
        of = select(spending.c.nanos).where(spending.c.key == key, func.length(spending.c.period) == 10)
        return int(connection.execute(of).scalar_one())


def alerts(service: Service, owner: str) -> dict[int, int]:
    """How often each threshold of the owner is in the log of all workers."""
    lines = [json.loads(line) for line in service.broker.log.splitlines() if '"budget_threshold"' in line]
    return dict(Counter(line["threshold"] for line in lines if line["owner"] == owner))


def nanos_per_second(service: Service) -> float:
    prices = PriceList(service.broker.settings.config.prices)
    with service.broker.database.read() as connection:
        found = connection.execute(select(sessions.c.model, sessions.c.opened_at)).first()
    assert found is not None
    price = prices.at(found.model, found.opened_at)
    assert price is not None
    return price.per_minute * 1000 / 60


def test_user_gets_exactly_the_budget(service: Service) -> None:
    for _ in range(EACH):
        name = service.new_user()
        service.limits.set(name, {**ONE, "sessions": 1000, "rate": "1000000/second"})
        outcomes = service.at_once([name], MANY_CALLERS)
        assert codes(outcomes) == {"ok": 5, "budget-exhausted": MANY_CALLERS - 5}
        assert len(opened(outcomes)) == 5
        used = spent(service, principal_key(OWN_ISSUER, name)) / NANOS
        assert used <= 1.55 < used + SHORTEST_SECONDS * 0.023 / 60
        assert alerts(service, f"live-broker:{name}") == {50: 1, 80: 1, 100: 1}


@pytest.mark.parametrize("limits", [ONE, {"minutes_per_month": 65}])
def test_members_of_a_team_get_exactly_its_budget(service: Service, limits: dict[str, Any]) -> None:
    for _ in range(EACH):
        members = service.new_team(**limits)
        refusal = "budget-exhausted" if limits is ONE else "minutes-exhausted"
        outcomes = service.at_once(members, MANY_CALLERS)
        assert codes(outcomes) == {"ok": 5, refusal: MANY_CALLERS - 5}
        assert len(opened(outcomes)) == 5
        assert wrong_counts(service.broker.database) == []


def test_users_of_a_service_key_get_exactly_its_budget(service: Service) -> None:
    for _ in range(EACH):
        outcomes = service.of_a_key("purse", OF_A_KEY)
        assert codes(outcomes) == {"ok": 5, "budget-exhausted": OF_A_KEY - 5}
        assert len(opened(outcomes)) == 5
    assert wrong_counts(service.broker.database) == []


def test_project_spends_exactly_its_budget(service: Service) -> None:
    users = [service.new_user("crowd") for _ in range(MANY_CALLERS)]
    seen: Counter[str] = Counter()
    while not seen["budget-exhausted"]:
        seen += codes(service.at_once(users, MANY_CALLERS))
    assert set(seen) == {"ok", "budget-exhausted"}
    left = PROJECT_BUDGET * NANOS - spent(service)
    assert 0 <= left < SHORTEST_SECONDS * nanos_per_second(service)
    assert alerts(service, "project") == {50: 1, 80: 1, 100: 1}
    assert wrong_counts(service.broker.database) == []
