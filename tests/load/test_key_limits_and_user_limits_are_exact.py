"""Requests of a service key race for the last tokens: neither its own limit nor its users' is exceeded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.keys import key_headers
from tests.support.servers import BrokerServer
from tests.support.warm import WARM_PLAN, warm_up

PLANS = """
[plans.generous]
rate = "1000/hour"
sessions = 1000
minutes_per_day = 10000
session_minutes = 30
[plans.seven]
rate = "7/hour"
sessions = 1000
minutes_per_day = 10000
session_minutes = 30
"""


@pytest.fixture(scope="module")
def broker(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    """A user gets five tokens an hour."""
    server = make_broker(standin.url, rate="5/hour", toml=PLANS + WARM_PLAN, workers=4)
    warm_up(server)
    return server


def granted(broker: BrokerServer, headers: dict[str, str], users: list[str]) -> int:
    def ask(user: str) -> int:
        with broker.client() as client:
            return client.post("/token", json={"on_behalf_of": user}, headers=headers).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(ask, users))
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def test_user_limit_is_exact_through_a_key(broker: BrokerServer) -> None:
    headers = key_headers(broker, "generous", plan="generous", on_behalf_of="any")
    assert granted(broker, headers, ["u1"] * 40) == 5
    assert granted(broker, headers, ["u2"] * 40) == 5


def test_key_limit_is_exact_for_many_users(broker: BrokerServer) -> None:
    headers = key_headers(broker, "seven", plan="seven", on_behalf_of="any")
    assert granted(broker, headers, [f"user{n}" for n in range(40)]) == 7
