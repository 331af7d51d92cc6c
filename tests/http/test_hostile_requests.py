"""Each request of the tables gets exactly the answers that it should, and leaves nothing behind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, select

from broker.standin import StandIn
from broker.store.database.tables import sessions
from tests.conftest import MakeBroker
from tests.http.raw import AGENT, APP, CANARY, answers, exchange
from tests.http.raw_bodies import BODIES
from tests.http.raw_framing import FRAMING
from tests.http.raw_heads import HEADS
from tests.support.servers import BrokerServer

TABLES = {"framing": FRAMING, "head": HEADS, "body": BODIES}
CASES = {f"{kind}, {name}": case for kind, table in TABLES.items() for name, case in table.items()}
_TOKEN = re.compile(rb'"auth_tokens/[^"]+"')


@dataclass
class Target:
    broker: BrokerServer
    alice: bytes
    accepted: set[bytes] = field(default_factory=set)

    def sessions(self) -> int:
        """The number of sessions that the broker has opened, each with one token."""
        with self.broker.database.engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(sessions)).scalar_one())


@pytest.fixture(scope="module")
def target(standin: StandIn, make_broker: MakeBroker) -> Target:
    broker = make_broker(standin.url, workers=1, threads=4, env={"BROKER_ALLOWED_ORIGINS": APP})
    broker.add_user("alice")
    return Target(broker, broker.bearer("alice").encode())


@pytest.mark.parametrize("name", CASES)
def test_hostile_request(target: Target, name: str) -> None:
    """No answer is a 5xx, quotes the client, or is followed by one that the request did not ask for."""
    request, expected = CASES[name]
    before = len(target.broker.log)
    received = exchange(target.broker.port, request.replace(b"{alice}", target.alice))
    found = answers(received, to_head=request.startswith(b"HEAD "))
    target.accepted.update(_TOKEN.findall(received))
    assert ", ".join(answer.words for answer in found) == expected
    assert found[-1].headers["connection"].lower() == "close"
    if AGENT in request and found[-1].status >= 400 and "origin" not in name:
        assert found[-1].headers["access-control-allow-origin"] == APP
    log = target.broker.log[before:]
    assert CANARY not in received.decode("latin-1") + log
    assert "Traceback" not in log


def test_exactly_the_accepted_tokens_were_minted(target: Target) -> None:
    """Runs after the tables."""
    with target.broker.client("alice") as alice:
        assert alice.get("/healthz").status_code == 200
        assert target.sessions() == len(target.accepted)
        assert alice.post("/token").status_code == 200
    assert target.sessions() == len(target.accepted) + 1
