"""Clocks that differ or jump: the host's, Google's, the database's. Limits hold, the difference shows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.faults.caller import Caller

# Of the difference; the Date of an answer has whole seconds.
EXACT = 2


@pytest.fixture(scope="module")
def google() -> Iterator[StandIn]:
    with StandIn(port=0) as running:
        yield running


@pytest.fixture(scope="module")
def caller(google: StandIn, make_broker: MakeBroker) -> Caller:
    broker = make_broker(google.url, workers=1)
    broker.add_user("olga", roles=["operator"])
    return Caller(broker, "alice")


def shown(caller: Caller, clock: str) -> float:
    """What /metrics shows."""
    with caller.broker.client("olga") as olga:
        lines = olga.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith(f'broker_clock_ahead_seconds{{clock="{clock}"}}')]
    return float(line.rpartition(" ")[2])


def logged(caller: Caller, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in caller.broker.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("seconds", [30, -30])
def test_google_that_is_half_a_minute_off_still_mints_and_the_difference_shows(
    google: StandIn, caller: Caller, seconds: int
) -> None:
    google.control.scenario("clock-skew", seconds=seconds)
    assert caller.mint().answer == (200, "ok")
    assert shown(caller, "google") == pytest.approx(seconds, abs=EXACT)
    told = logged(caller, "clock_differs")[-1]
    assert (told["level"], told["clock"]) == ("warning", "google")
    assert told["ahead_seconds"] == pytest.approx(seconds, abs=EXACT)
    check = caller.broker.command("check")
    assert "WARN  the clock of google is " in check
    assert f"s {'ahead of' if seconds > 0 else 'behind'} this host's" in check


def test_google_that_refuses_the_times_is_told_from_a_wrong_key(google: StandIn, caller: Caller) -> None:
    google.control.scenario("clock-skew", seconds=150)
    assert caller.mint().answer == (502, "upstream-rejected")
    assert caller.ready() == 200
    reason = str(logged(caller, "request")[-2]["reason"])
    assert "the clock of google is 1" in reason
    assert "s ahead of this host's" in reason
    google.control.scenario("clock-skew", off=True)
    caller.check_healed()
    assert shown(caller, "google") == 0
    assert logged(caller, "clock_differs")[-1]["ahead_seconds"] == 0
    assert "ok    clocks: in step" in caller.broker.command("check")
