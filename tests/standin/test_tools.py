"""Function calls: one, several, blocking or not, cancelled, answered late."""

from __future__ import annotations

from typing import Any

import pytest

from broker.standin import StandIn
from broker.standin.tools import example_arguments
from tests.standin.client import GET_TIME, Talker, flags, quiet, session, speech, words
from tests.standin.test_turns import contents, is_audio

M38 = "models/gemini-3.8-live"
TWO = {"functionDeclarations": [{"name": "first"}, {"name": "second"}]}


def called(talker: Talker) -> list[dict[str, Any]]:
    frame = talker.until(lambda f: "toolCall" in f)[-1]
    calls: list[dict[str, Any]] = frame["toolCall"]["functionCalls"]
    return calls


def answer(talker: Talker, calls: list[dict[str, Any]], **more: Any) -> None:
    responses = [{"id": c["id"], "name": c["name"], "response": {"result": "ok"}, **more} for c in calls]
    talker.send({"toolResponse": {"functionResponses": responses}})


def test_blocking_call_holds_the_turn_until_it_is_answered(standin: StandIn) -> None:
    with session(standin, tools=[GET_TIME]) as talker:
        talker.text("/tool")
        calls = called(talker)
        assert [(c["name"], c["args"]) for c in calls] == [("get_time", {})]
        answer(talker, calls)
        frames = talker.turn()
    assert words(frames) == 'The function get_time answered {"result": "ok"}.'
    assert contents(talker.frames).count("turnComplete") == 1


def test_typed_arguments_are_used(standin: StandIn) -> None:
    with session(standin, tools=[GET_TIME]) as talker:
        talker.text('/tool get_time {"zone": "Oslo"}')
        assert called(talker)[0]["args"] == {"zone": "Oslo"}


def test_several_at_once_need_every_answer(standin: StandIn) -> None:
    with session(standin, tools=[TWO]) as talker:
        talker.text("/tools")
        calls = called(talker)
        assert [c["name"] for c in calls] == ["first", "second"]
        answer(talker, calls[:1])
        with pytest.raises(TimeoutError):
            talker.turn_within(0.2)
        answer(talker, calls[1:])
        assert words(talker.turn()).count("answered") == 2


def test_one_function_is_called_twice_by_tools(standin: StandIn) -> None:
    with session(standin, tools=[GET_TIME]) as talker:
        talker.text("/tools")
        calls = called(talker)
        assert len({c["id"] for c in calls}) == 2
        answer(talker, calls)
        talker.turn()


def test_interruption_cancels_call(standin: StandIn) -> None:
    with session(standin, tools=[GET_TIME]) as talker:
        talker.text("/tool")
        calls = called(talker)
        talker.audio(speech(0.4))
        frames = talker.turn()
        assert {"ids": [calls[0]["id"]]} in [f.get("toolCallCancellation") for f in frames]
        assert "interrupted" in contents(frames)
        answer(talker, calls)  # was on its way: no fault, and no answer to it
        talker.audio(quiet(1))
        assert words(talker.turn()).startswith("You said")


@pytest.mark.parametrize("early", [False, True])
def test_cancellation_comes_after_interrupted_or_before(standin: StandIn, early: bool) -> None:
    if early:
        standin.control.scenario("cancellation-first")
    with session(standin, tools=[GET_TIME]) as talker:
        talker.text("/tool")
        called(talker)
        talker.text("stop")
        order = [name for name in flags(talker.turn()) if name in ("interrupted", "toolCallCancellation")]
    assert order == sorted(["interrupted", "toolCallCancellation"], reverse=early)


INVALID = (1007, "Request contains an invalid argument.")


@pytest.mark.parametrize("other", [False, True])
def test_answer_to_a_call_never_made_is_refused(standin: StandIn, other: bool) -> None:
    if other:
        standin.control.scenario("unknown-name")
    with session(standin, tools=[GET_TIME]) as talker:
        answer(talker, [{"id": "call_1", "name": "get_time"}])
        assert talker.closing() == ((1008, "Requested entity was not found.") if other else INVALID)


@pytest.mark.parametrize(
    "change", [{"name": "another"}, {"response": None}, {"response": [1]}, {"id": ""}, {"id": None}]
)
def test_answer_that_does_not_fit_its_call_is_refused(standin: StandIn, change: dict[str, Any]) -> None:
    with session(standin, tools=[GET_TIME]) as talker:
        talker.text("/tool")
        answer(talker, called(talker), **change)
        assert talker.closing()[0] == 1007


def test_answer_to_nothing_is_refused(standin: StandIn) -> None:
    empties: list[dict[str, Any]] = [{}, {"functionResponses": []}]
    for empty in empties:
        with session(standin, tools=[GET_TIME]) as talker:
            talker.send({"toolResponse": empty})
            assert talker.closing() == INVALID


def test_second_answer_to_a_call_is_refused(standin: StandIn) -> None:
    with session(standin, tools=[GET_TIME]) as talker:
        talker.text("/tool")
        calls = called(talker)
        answer(talker, calls)
        answer(talker, calls)
        assert talker.closing() == INVALID


@pytest.mark.parametrize("scheduling", ["WHEN_IDLE", "INTERRUPT", "SILENT"])
def test_non_blocking_call_is_answered_as_scheduled(standin: StandIn, scheduling: str) -> None:
    with session(standin, model=M38, tools=[GET_TIME]) as talker:
        talker.text("/tool")
        calls = called(talker)
        assert talker.frames[-1]["interactionStatus"] == "IN_PROGRESS"
        frames = talker.turn()
        assert words(frames).startswith("One moment")
        assert frames[-1]["serverContent"]["interactionStatus"] == "IN_PROGRESS"
        # The tone is heard to its end unless it is interrupted; then a busy machine needs the time.
        talker.text("/tone 440 100" if scheduling == "INTERRUPT" else "/tone 440 20")
        talker.until(is_audio)
        answer(talker, calls, scheduling=scheduling)
        frames = talker.turn()
        assert ("interrupted" in contents(frames)) == (scheduling == "INTERRUPT")
        if scheduling == "SILENT":
            assert {"serverContent": {"interactionStatus": "IDLE"}} in frames
            talker.text("still there?")
            assert words(talker.turn()).startswith("You wrote")
        else:
            frames = talker.turn()
            assert words(frames).startswith("The function get_time answered")
            assert frames[-1]["serverContent"]["interactionStatus"] == "IDLE"


def test_will_continue_keeps_the_call_open(standin: StandIn) -> None:
    with session(standin, model=M38, tools=[GET_TIME]) as talker:
        talker.text("/tool")
        calls = called(talker)
        talker.turn()
        for more in (True, False):
            answer(talker, calls, willContinue=more)
            talker.turn()
        answer(talker, calls)
        assert talker.closing()[0] == 1007


def test_blocking_function_of_a_non_blocking_model(standin: StandIn) -> None:
    blocking = {"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}
    with session(standin, model=M38, tools=[blocking]) as talker:
        talker.text("/tool")
        answer(talker, called(talker))
        assert words(talker.turn()).startswith("The function f answered")


def test_speech_can_cause_call(standin: StandIn) -> None:
    standin.control.scenario("tool-on-speech", function="second", times=1)
    with session(standin, tools=[TWO]) as talker:
        talker.audio(speech(1) + quiet(1))
        assert called(talker)[0]["name"] == "second"


def test_answer_says_that_no_function_is_declared(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.text("/tool")
        assert words(talker.turn()) == "No function is declared in this session."
    with session(standin, tools=[TWO]) as talker:
        talker.text("/tool third")
        assert words(talker.turn()) == "No function third is declared in this session."


def test_example_arguments_follow_either_kind_of_schema() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "city": {"type": "STRING"},
            "unit": {"type": "STRING", "enum": ["C", "F"]},
            "days": {"type": "integer"},
            "share": {"type": "NUMBER"},
            "sure": {"type": "BOOLEAN"},
            "tags": {"type": "ARRAY", "items": {"type": "STRING"}},
            "at": {"type": "OBJECT", "properties": {"lat": {"type": "NUMBER", "default": 59.9}}},
        },
    }
    expected = {
        "city": "example",
        "unit": "C",
        "days": 1,
        "share": 1.5,
        "sure": True,
        "tags": ["example"],
        "at": {"lat": 59.9},
    }
    assert example_arguments({"parameters": schema}) == expected
    assert example_arguments({"parametersJsonSchema": schema}) == expected
    assert example_arguments({}) == {}
