"""Handles: how often they come, what they resume, and when they are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest

from broker.standin import StandIn
from tests.standin.client import (
    MODEL,
    SETUP,
    Talker,
    address,
    ahead,
    opened,
    quiet,
    refused,
    session,
    token,
    words,
)
from tests.standin.test_turns import is_audio


def update(talker: Talker) -> dict[str, Any]:
    """The next update, which the test must cause."""
    frame = talker.until(lambda f: "sessionResumptionUpdate" in f)[-1]
    found: dict[str, Any] = frame["sessionResumptionUpdate"]
    return found


def update_after(talker: Talker, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Streams silence until such an update comes."""
    for _ in range(200):
        talker.audio(quiet(0.02))
        until = time.monotonic() + 0.06
        with suppress(TimeoutError):
            while (left := until - time.monotonic()) > 0:
                found: dict[str, Any] | None = talker.next(timeout=left).get("sessionResumptionUpdate")
                if found is not None and wanted(found):
                    return found
    raise AssertionError("no such update came")


def resuming(handle: str, **more: Any) -> dict[str, Any]:
    return {**SETUP, "sessionResumption": {"handle": handle}, **more}


def with_token(standin: StandIn, name: str) -> AbstractContextManager[Talker]:
    return opened(address(standin, f"?access_token={name}"))


def first_call(standin: StandIn, name: str) -> str:
    """One turn with this token; the handle after it."""
    with with_token(standin, name) as talker:
        talker.send({"setup": SETUP})
        update(talker)
        talker.text("remember me")
        talker.turn()
        return str(update_after(talker, lambda found: found.get("newHandle"))["newHandle"])


def test_handle_resumes_conversation_with_spent_token(standin: StandIn) -> None:
    name = token(standin, newSessionExpireTime=ahead(600))
    handle = first_call(standin, name)
    with with_token(standin, name) as talker:
        talker.send({"setup": resuming(handle)})
        talker.text("/history")
        told = words(talker.turn())
    assert told == "I remember 2 turns. user: remember me; model: You wrote: remember me"


def test_another_token_can_resume_conversation(standin: StandIn) -> None:
    handle = first_call(standin, token(standin))
    with session(standin, resuming(handle)) as talker:
        talker.text("/history")
        assert "remember me" in words(talker.turn())


def test_resumed_session_can_have_forgotten_and_greet(standin: StandIn) -> None:
    handle = first_call(standin, token(standin))
    standin.control.scenario("forgets", greeting="Hello there!", times=1)
    with session(standin, resuming(handle)) as talker:
        assert words(talker.turn()) == "Hello there!"
        talker.text("/history")
        assert words(talker.turn()) == "I remember 1 turns. model: Hello there!"


def test_updates_come_once_a_second_and_only_after_client_input(standin: StandIn) -> None:
    with session(standin) as talker:
        first = update(talker)
        assert first["resumable"] is True
        with pytest.raises(TimeoutError):
            talker.next(timeout=0.3)  # six stand-in seconds of silence: nothing
        later = update_after(talker, lambda found: found.get("newHandle"))
        assert later["newHandle"] != first["newHandle"]


def test_not_resumable_while_generating_or_calling(standin: StandIn) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    with session(standin, tools=tools) as talker:
        update(talker)
        standin.control.scenario("pace", speed=1)
        talker.text("/long 90")
        talker.until(is_audio)
        # `{}`, because proto3 JSON leaves `false` out
        update_after(talker, lambda found: found == {})
        standin.control.scenario("resumption-updates", mode="explicit")
        update_after(talker, lambda found: found == {"resumable": False})


def test_explicit_updates_have_a_handle_where_the_usual_ones_have(standin: StandIn) -> None:
    standin.control.scenario("resumption-updates", mode="explicit")
    with session(standin) as talker:
        assert update(talker)["newHandle"]


@pytest.mark.parametrize("after_turn", [False, True])
def test_typed_turn_is_in_a_handle_only_after_more_input(standin: StandIn, after_turn: bool) -> None:
    if after_turn:
        standin.control.scenario("handle-after-turn")
    with session(standin) as talker:
        handle = update(talker)["newHandle"]
        talker.text("remember me")
        talker.turn()
        if after_turn:
            handle = update(talker)["newHandle"]
        else:
            with pytest.raises(TimeoutError):
                talker.next(timeout=0.2)  # four stand-in seconds
    with session(standin, resuming(handle)) as talker:
        talker.text("/history")
        assert ("remember me" in words(talker.turn())) == after_turn


@pytest.mark.parametrize(
    ("mode", "expected"), [("not-resumable", {"resumable": False}), ("empty", {}), ("none", None)]
)
def test_other_forms_of_updates(standin: StandIn, mode: str, expected: dict[str, Any] | None) -> None:
    standin.control.scenario("resumption-updates", mode=mode)
    with session(standin) as talker:
        if expected is not None:
            assert update(talker) == expected
        else:
            talker.text("hello")
            assert not [f for f in talker.turn() if "sessionResumptionUpdate" in f]


def test_no_resumption_while_old_socket_is_open(standin: StandIn) -> None:
    with session(standin) as talker:
        handle = update(talker)["newHandle"]
        assert refused(standin, token(standin), resuming(handle))[0] == 1011
    with session(standin, resuming(handle)):
        pass


def test_unknown_handle_and_another_model_are_refused(standin: StandIn) -> None:
    missing = (1008, "Requested entity was not found.")
    assert refused(standin, token(standin), resuming("nothing")) == missing
    standin.control.scenario("unknown-name")
    assert refused(standin, token(standin), resuming("nothing")) == (1007, "Invalid session handle")
    standin.control.reset_scenarios()
    handle = first_call(standin, token(standin))
    other = resuming(handle, model="models/gemini-3.8-live")
    assert refused(standin, token(standin), other)[0] == 1007
    assert other["model"] != MODEL


def test_join_window_binds_resumptions_without_scenario(standin: StandIn) -> None:
    """Forty stand-in seconds are over after two real ones."""
    name = token(standin, newSessionExpireTime=ahead(40))
    handle = first_call(standin, name)
    standin.control.scenario("idle", seconds=45)
    with session(standin) as other:
        assert other.closing()[0] == 1008
    late = (1011, "new_session_expire_time deadline exceeded")
    assert refused(standin, name, resuming(handle)) == late
    standin.control.scenario("resume-ungated")
    with with_token(standin, name) as talker:
        talker.send({"setup": resuming(handle)})
        assert talker.next() == {"setupComplete": {}}
    assert refused(standin, name) in (late, (1011, "Token has been used too many times"))


def test_resumption_can_be_counted_as_a_use(standin: StandIn) -> None:
    name = token(standin, newSessionExpireTime=ahead(600))
    handle = first_call(standin, name)
    standin.control.scenario("resume-counted")
    assert refused(standin, name, resuming(handle)) == (1011, "Token has been used too many times")


def test_every_handle_can_be_refused(standin: StandIn) -> None:
    handle = first_call(standin, token(standin))
    standin.control.scenario("resume-refused", times=1)
    assert refused(standin, token(standin), resuming(handle))[0] == 1008
    with session(standin, resuming(handle)):
        pass
