"""How a connection ends: silence, its length, goAway, cut lines, codes on request."""

from __future__ import annotations

from contextlib import suppress

from broker.standin import StandIn
from tests.standin.client import quiet, session

ABORTED = (1008, "The operation was aborted.")
STAYED = (
    "Connection aborted because the client failed to close the connection after receiving a GoAway "
    "signal once the session durat"
)


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
        assert {"goAway": {"timeLeft": "50s"}} in talker.frames
        assert close == (1008, STAYED)
        assert len(STAYED.encode()) == 123


def test_go_away_on_request_with_a_chosen_end(standin: StandIn) -> None:
    standin.control.scenario("go-away", after_seconds=1, time_left_seconds=2.5, close="deadline", times=1)
    with session(standin) as talker:
        assert talker.closing() == (1011, "Deadline expired before operation could complete.")
        assert {"goAway": {"timeLeft": "2.5s"}} in talker.frames


def test_an_announced_end_that_never_comes_and_a_shorter_connection(standin: StandIn) -> None:
    standin.control.scenario("go-away", after_seconds=1, time_left_seconds=1, close="none", times=1)
    standin.control.scenario("connection-length", seconds=8)
    with session(standin) as talker:
        assert talker.closing() == (1008, STAYED)
        left = [f["goAway"]["timeLeft"] for f in talker.frames if "goAway" in f]
        assert left == ["1s", "4s"]


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
