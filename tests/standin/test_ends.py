"""Ends of connections: silence, maximum length, goAway, dropped sockets, requested codes."""

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


def test_silent_client_is_closed_without_go_away() -> None:
    """150 stand-in seconds, at a hundred a second."""
    with StandIn(time_scale=100) as fast, session(fast) as talker:
        assert talker.closing() == ABORTED
        assert not [f for f in talker.frames if "goAway" in f]


def test_streamed_silence_keeps_connection_open(standin: StandIn) -> None:
    standin.control.scenario("idle", seconds=20)  # one real second
    with session(standin) as talker:
        for _ in range(10):
            talker.audio(quiet(0.02))
            with suppress(TimeoutError):
                while True:
                    talker.next(timeout=0.15)
        assert talker.closing() == ABORTED


def test_connection_gets_go_away_then_closes_after_ten_minutes() -> None:
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


def test_go_away_without_close_and_shorter_connection(standin: StandIn) -> None:
    standin.control.scenario("go-away", after_seconds=1, time_left_seconds=1, close="none", times=1)
    standin.control.scenario("connection-length", seconds=8)
    with session(standin) as talker:
        assert talker.closing() == (1008, STAYED)
        left = [f["goAway"]["timeLeft"] for f in talker.frames if "goAway" in f]
        assert left == ["0.05s", "0.2s"]


def test_early_go_away_notice(standin: StandIn) -> None:
    standin.control.scenario("connection-length", seconds=20, notice_seconds=10)
    with session(standin) as talker:
        talker.until(lambda frame: "goAway" in frame)
        assert talker.frames[-1] == {"goAway": {"timeLeft": "0.5s"}}


def test_random_closes_vary_by_connection_and_repeat_by_seed(standin: StandIn) -> None:
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


def test_fall_silent_keeps_socket_open_until_client_leaves(standin: StandIn) -> None:
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


def test_typed_go_away(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.text("/goaway 5")
        assert talker.closing() == (1008, STAYED)


def test_dropped_socket_is_1006(standin: StandIn) -> None:
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


def test_client_close_is_recorded(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.ws.close(1000, "bye")
    with session(standin):  # the next one comes after the first was cleaned up
        closed = standin.control.received()["connections"][0]["closed"]
    assert (closed["by"], closed["code"], closed["reason"]) == ("client", 1000, "bye")
