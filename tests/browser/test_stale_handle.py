"""What no one knows about Google's handles: the library keeps the conversation with each reading of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Service
from tests.browser.support import Bench, wait_for
from tests.browser.test_reconnect import back, handle_known

LINE = "my name is Ada"


def answered(bench: Bench, service: Service, text: str) -> str:
    """Types a line and returns the whole answer."""
    bench.say(text)

    def last() -> Any:
        turns = service.standin.control.sent()["turns"]
        return turns[-1] if turns and turns[-1]["turn_complete_ms"] else None

    turn = wait_for("the answer", last)
    bench.wait_state("listening")
    return str(turn["text"])


def contents(service: Service) -> list[Any]:
    """What the newest connection has received as `clientContent`."""
    received = service.standin.control.received()["connections"][-1]["received"]
    return [entry["frame"]["clientContent"] for entry in received if "clientContent" in entry["frame"]]


@pytest.mark.parametrize("fresh", [False, True])
def test_typed_turn_is_known_after_a_break(bench: Bench, service: Service, fresh: bool) -> None:
    """`fresh`: a handle comes after each turn, although the client sends nothing."""
    control = service.standin.control
    assert bench.start(microphone=False) is None
    handle_known(service)
    if fresh:
        control.scenario("handle-after-turn")
    else:
        control.scenario("resumption-updates", mode="none")
    answered(bench, service, LINE)
    bench.wait_state("listening")
    control.push(drop=True)
    assert back(bench)["resumed"]
    turns = [
        {"role": "user", "parts": [{"text": LINE}]},
        {"role": "model", "parts": [{"text": f"You wrote: {LINE}"}]},
    ]
    if fresh:
        assert contents(service) == []
    else:
        assert wait_for("the turn", lambda: contents(service)) == [{"turns": turns, "turnComplete": False}]
    history = answered(bench, service, "/history")
    assert history == f"I remember 2 turns. user: {LINE}; model: You wrote: {LINE}"


def test_unknown_handle_of_either_reading_leads_to_a_new_session_with_the_text(
    bench: Bench, service: Service
) -> None:
    control = service.standin.control
    assert bench.start(microphone=False) is None
    handle_known(service)
    answered(bench, service, LINE)
    control.scenario("resume-refused", close="handle-invalid")
    control.push(drop=True)
    assert back(bench)["seeded"]
    assert f"user: {LINE}" in answered(bench, service, "/history")


def test_nothing_is_sent_before_setup_complete(bench: Bench, service: Service) -> None:
    service.standin.control.scenario("early-refused")
    assert bench.start(microphone=True) is None
    answer = answered(bench, service, LINE)
    assert answer, "the connection was closed"
    assert f"You wrote: {LINE}".startswith(answer)  # the microphone may interrupt it
    [connection] = service.standin.control.received()["connections"]
    assert connection["closed"] is None
