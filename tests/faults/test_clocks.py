"""Clocks that differ or jump: the host's, Google's, the database's. Limits hold, the difference shows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.faults.caller import Caller
from tests.support.fake_time import FakeTime
from tests.support.postgres import PostgresServer

HOUR = 3600
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
    assert "ok    clocks: synchronized" in caller.broker.command("check")


@pytest.fixture(scope="module")
def host_clock() -> Iterator[FakeTime]:
    with FakeTime() as clock:
        yield clock


@pytest.fixture(scope="module")
def on_moved_host(google: StandIn, make_broker: MakeBroker, host_clock: FakeTime) -> Caller:
    """A worker whose store is SQLite: its clock is the host's."""
    broker = make_broker(google.url, workers=1, env=host_clock.environ)
    broker.add_user("olga", roles=["operator"])
    return Caller(broker, "alice")


def test_host_that_jumps_ahead_goes_on(host_clock: FakeTime, on_moved_host: Caller) -> None:
    host_clock.move(2 * HOUR)
    assert on_moved_host.mint().answer == (401, "token-expired")
    later = on_moved_host.broker.sign_in(on_moved_host.name)
    assert on_moved_host.mint(later).answer == (200, "ok")
    assert logged(on_moved_host, "clock_differs")[-1]["ahead_seconds"] == pytest.approx(-2 * HOUR, abs=EXACT)
    assert on_moved_host.ready() == 200
    host_clock.move(0)
    on_moved_host.check_healed()


def test_host_that_jumps_back_says_why_google_refuses(host_clock: FakeTime, on_moved_host: Caller) -> None:
    host_clock.move(-HOUR)
    assert on_moved_host.mint().status == 401, "signed in the future"
    earlier = on_moved_host.broker.sign_in(on_moved_host.name)
    assert on_moved_host.mint(earlier).answer == (502, "upstream-rejected")
    # The clocks are compared with each answer, also with this one.
    reason = str(logged(on_moved_host, "request")[-1]["reason"])
    assert "the clock of google is 3" in reason
    assert "ahead of this host's" in reason
    assert on_moved_host.ready() == 200
    host_clock.move(0)
    on_moved_host.check_healed()


def test_database_whose_clock_jumps(google: StandIn, make_broker: MakeBroker) -> None:
    """Its clock sets the times of tokens."""
    with FakeTime() as clock:
        through = ["env", *(f"{name}={value}" for name, value in clock.environ.items())]
        with PostgresServer(through) as postgres:
            env = {"BROKER_DATABASE_URL": postgres.migrated()}
            with closing(make_broker(google.url, workers=1, env=env)) as broker:
                broker.add_user("olga", roles=["operator"])
                caller = Caller(broker, "alice")
                clock.move(30)
                assert caller.mint().answer == (200, "ok")
                caller.check_ready(200)
                time.sleep(1)  # the probe asks the store once a second
                assert caller.ready() == 200
                assert shown(caller, "database") == pytest.approx(30, abs=EXACT)
                assert "WARN  the clock of database is " in broker.command("check")
                clock.move(-HOUR)
                time.sleep(1)
                assert caller.ready() == 200
                assert caller.mint().answer == (502, "upstream-rejected")
                reason = str(logged(caller, "request")[-1]["reason"])
                assert "the clock of database is 3" in reason
                assert "behind this host's" in reason
                clock.move(0)
                caller.check_healed()
