"""How a connection ends: silence, its length, goAway, cut lines, codes on request."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from broker.standin import StandIn
from tests.standin.client import quiet, session

ABORTED = (1008, "The operation was aborted.")
STAYED = (
    "Connection aborted because the client failed to close the connection after receiving a GoAway "
    "signal once the session durat"
)


def wait_until(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_silent_client_is_dropped_without_a_word() -> None:
    """150 stand-in seconds, at a hundred a second."""
    with StandIn(time_scale=100) as fast, session(fast) as talker:
        assert talker.closing() == ABORTED
        assert not [f for f in talker.frames if "goAway" in f]


def test_streamed_silence_keeps_it_alive(standin: StandIn) -> None:
    standin.control.scenario("idle", seconds=20)  # one real second
    with session(standin) as talker:
        for _ in range(10):
            talker.audio(quiet(0.02))
            with suppress(TimeoutError):
                while True:
                    talker.next(timeout=0.15)
        assert talker.closing() == ABORTED


def test_ten_minutes_are_announced_then_enforced() -> None:
    with StandIn(time_scale=600) as fast:
        fast.control.scenario("idle", seconds=1e9)
        with session(fast) as talker:
            close = talker.closing()
        [notice] = [f["goAway"] for f in talker.frames if "goAway" in f]
        assert float(notice["timeLeft"].removesuffix("s")) == pytest.approx(50 / 600)  # by the client's clock
        assert close == (1008, STAYED)
        assert len(STAYED.encode()) == 123


def test_go_away_on_request_with_a_chosen_end(standin: StandIn) -> None:
    standin.control.scenario("go-away", after_seconds=1, time_left_seconds=2.5, close="deadline", times=1)
    with session(standin) as talker:
        assert talker.closing() == (1011, "Deadline expired before operation could complete.")
        assert {"goAway": {"timeLeft": "0.125s"}} in talker.frames


def test_an_announced_end_that_never_comes_and_a_shorter_connection(standin: StandIn) -> None:
    standin.control.scenario("go-away", after_seconds=1, time_left_seconds=1, close="none", times=1)
    standin.control.scenario("connection-length", seconds=8)
    with session(standin) as talker:
        assert talker.closing() == (1008, STAYED)
        left = [f["goAway"]["timeLeft"] for f in talker.frames if "goAway" in f]
        assert left == ["0.05s", "0.2s"]


def test_an_end_that_is_announced_early(standin: StandIn) -> None:
    standin.control.scenario("connection-length", seconds=20, notice_seconds=10)
    with session(standin) as talker:
        talker.until(lambda frame: "goAway" in frame)
        assert talker.frames[-1] == {"goAway": {"timeLeft": "0.5s"}}


def test_sudden_ends_are_drawn_anew_and_the_same_each_time(standin: StandIn) -> None:
    def ends() -> list[tuple[int, str]]:
        standin.control.reset()
        standin.control.scenario("random-close", from_seconds=1, to_seconds=4, seed=7)
        found = []
        for _ in range(6):
            with session(standin) as talker:
                found.append(talker.closing())
        return found

    drawn = ends()
    assert len(set(drawn)) > 1
    assert set(drawn) <= {(1006, ""), ABORTED, (1011, "Internal error occurred.")}
    assert ends() == drawn


def test_a_line_that_falls_silent_stays_open_and_is_let_go_when_the_client_leaves(standin: StandIn) -> None:
    standin.control.scenario("fall-silent", after_seconds=4, times=1)
    with session(standin) as talker:
        until = time.monotonic() + 0.5  # ten of its seconds
        while time.monotonic() < until:
            talker.audio(quiet(0.02))
            time.sleep(0.02)
        with suppress(TimeoutError):
            while True:
                talker.next(timeout=0.05)
        talker.text("is anybody there?")
        with pytest.raises(TimeoutError):
            talker.next(timeout=0.3)
        assert standin.control.health()["open_connections"] == 1
    wait_until(lambda: standin.control.health()["open_connections"] == 0)


def test_a_typed_go_away(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.text("/goaway 5")
        assert talker.closing() == (1008, STAYED)


def test_a_dropped_line_is_1006(standin: StandIn) -> None:
    standin.control.scenario("drop", after_seconds=1, times=1)
    with session(standin) as talker:
        assert talker.closing() == (1006, "")
    with session(standin) as talker:
        talker.text("/drop")
        assert talker.closing() == (1006, "")
    closed = [c["closed"] for c in standin.control.received()["connections"]]
    assert [(c["by"], c["code"]) for c in closed] == [("server", 1006)] * 2


def test_closes_by_name_and_by_code(standin: StandIn) -> None:
    standin.control.scenario("close", after_seconds=1, close="unavailable", times=1)
    with session(standin) as talker:
        assert talker.closing() == (1011, "The service is currently unavailable.")
    with session(standin) as talker:
        talker.text("/close 4000 why not")
        assert talker.closing() == (4000, "why not")


def test_a_client_that_leaves_is_noted(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.ws.close(1000, "bye")
    with session(standin):  # the next one comes after the first was cleaned up
        closed = standin.control.received()["connections"][0]["closed"]
    assert (closed["by"], closed["code"], closed["reason"]) == ("client", 1000, "bye")
