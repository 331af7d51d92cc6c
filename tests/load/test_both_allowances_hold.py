"""Requests of service keys that race for the last places: neither allowance is ever exceeded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.keys import key_headers
from tests.support.servers import BrokerServer

BACKEND = """
[plans.backend]
rate = "{rate}"
sessions = 1000
minutes_per_day = 10000
session_minutes = 30
"""


def granted(broker: BrokerServer, headers: dict[str, str], users: list[str]) -> int:
    def ask(user: str) -> int:
        with broker.client() as client:
            return client.post("/token", json={"on_behalf_of": user}, headers=headers).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(ask, users))
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def test_one_user_of_many_requests(standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, rate="5/hour", toml=BACKEND.format(rate="1000/hour"), workers=4)
    headers = key_headers(broker, plan="backend", on_behalf_of="any")
    assert granted(broker, headers, ["u1"] * 40) == 5
    assert granted(broker, headers, ["u2"] * 40) == 5


def test_many_users_of_one_key(standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, rate="5/hour", toml=BACKEND.format(rate="7/hour"), workers=4)
    headers = key_headers(broker, plan="backend", on_behalf_of="any")
    assert granted(broker, headers, [f"u{n}" for n in range(40)]) == 7
