"""The service closes an open conversation with a complaint that may pass, once and each time."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from broker.store.database.tables import sessions
from tests.browser.conftest import Service
from tests.browser.support import Bench, wait_for

COMPLAINTS = ["audio-type", "invalid-argument", "internal"]


def tokens(service: Service) -> int:
    return sum(request.endswith("/token") for request in service.broker.requests)


def count_sessions(service: Service) -> int:
    with service.broker.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(sessions)).scalar_one())


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_one_complaint_costs_one_token_and_no_answer(bench: Bench, service: Service, complaint: str) -> None:
    before = count_sessions(service)
    assert bench.start(microphone=False) is None
    wait_for("a handle", lambda: "sessionResumptionUpdate" in str(service.standin.control.sent()["frames"]))
    service.standin.control.push(close=complaint)
    wait_for("the next connection", lambda: bench.events("reconnected"))
    assert bench.events("reconnected")[-1]["detail"]["resumed"]
    bench.say("are you still there?")
    bench.wait_state("speaking")
    assert bench.events("error") == []
    assert (tokens(service), count_sessions(service) - before) == (2, 1)


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_complaint_that_never_passes_ends_the_conversation(
    bench: Bench, service: Service, complaint: str
) -> None:
    before = count_sessions(service)
    assert bench.start(microphone=False) is None
    service.standin.control.scenario("close", close=complaint, after_seconds=0.3)
    service.standin.control.push(close=complaint)
    bench.wait_state("error", 40)
    assert len(bench.events("error")) == 1
    assert 2 <= tokens(service) <= 6
    assert count_sessions(service) - before == 1
    wait_for("the end at the broker", lambda: any(one.endswith("/end") for one in service.broker.requests))
