"""Turns: interruption, queueing, typed messages and content, usage, and the pace of audio."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from broker.standin import StandIn
from tests.standin.client import address, opened, quiet, session, sound, speech, token, words

LISTEN_ON = {"realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}


def is_audio(frame: dict[str, Any]) -> bool:
    return "modelTurn" in frame.get("serverContent", {})


def contents(frames: list[dict[str, Any]]) -> list[str]:
    """Flags and kinds, without what runs beside a turn."""
    return [key for frame in frames for key in frame.get("serverContent", {})]


@pytest.fixture
def unhurried() -> Iterator[StandIn]:
    """A stand-in in real time: on a busy machine, a test may be late by more than a second."""
    with StandIn() as running:
        yield running


def test_content_interrupts_without_an_answer_until_the_user_speaks(unhurried: StandIn) -> None:
    with session(unhurried) as talker:
        talker.text("/long 40")
        talker.until(is_audio)
        talker.send({"clientContent": {"turnComplete": False}})
        talker.until(lambda f: f.get("serverContent", {}).get("interrupted"))
        talker.turn()
        talker.text("next")
        assert words(talker.turn()) == "You wrote: next"
    assert len(unhurried.control.sent()["turns"]) == 2


@pytest.mark.parametrize("model", ["gemini-3.8-live", "gemini-3.8-live-extended-thinking"])
def test_open_content_waits_for_the_end_of_an_answer_of_38(standin: StandIn, model: str) -> None:
    with session(standin, model=f"models/{model}") as talker:
        talker.text("/tone 440 4")
        talker.until(is_audio)
        noted = [{"role": "user", "parts": [{"text": "noted"}]}]
        talker.send({"clientContent": {"turns": noted, "turnComplete": False}})
        assert "interrupted" not in contents(talker.turn())
        talker.text("/history")
        assert "user: noted" in words(talker.turn())


def test_late_words_follow_an_interruption_and_the_end_of_its_turn(unhurried: StandIn) -> None:
    unhurried.control.scenario("late-words")
    with session(unhurried) as talker:
        talker.text("/long 40")
        talker.until(is_audio)
        talker.text("stop")
        talker.until(lambda f: f.get("serverContent", {}).get("interrupted"))
        assert contents(talker.turn()) == ["outputTranscription", "turnComplete"]
        rest = talker.turn()
    assert words(rest[:1])
    assert "outputTranscription" in rest[0]["serverContent"]
    assert not is_audio(rest[0])


def test_late_transcript_follows_the_end_of_its_turn(standin: StandIn) -> None:
    standin.control.scenario("late-transcript")
    with session(standin, inputAudioTranscription={}) as talker:
        talker.audio(speech(0.6) + quiet(1.0))
        assert "inputTranscription" not in contents(talker.turn())
        late = talker.until(lambda f: "inputTranscription" in f.get("serverContent", {}))
    assert "you spoke for" in late[-1]["serverContent"]["inputTranscription"]["text"]


def test_deaf_service_finishes_its_answer(standin: StandIn) -> None:
    standin.control.scenario("deaf")
    with session(standin) as talker:
        talker.text("/tone 200 3")
        talker.until(is_audio)
        talker.send({"clientContent": {"turnComplete": False}})
        assert "interrupted" not in contents(talker.turn())


@pytest.mark.parametrize("how", ["speech", "text", "content"])
def test_user_interrupts(unhurried: StandIn, how: str) -> None:
    with session(unhurried) as talker:
        talker.text("/long 40")
        talker.until(is_audio)
        if how == "speech":
            talker.audio(speech(0.4))
        elif how == "text":
            talker.text("stop")
        else:
            turns = [{"role": "user", "parts": [{"text": "stop"}]}]
            talker.send({"clientContent": {"turns": turns, "turnComplete": True}})
        frames = talker.until(lambda f: f.get("serverContent", {}).get("interrupted"))
        after = talker.turn()
        assert "generationComplete" not in contents(frames + after)
        assert contents(after) == ["turnComplete"]
        if how != "speech":
            assert words(talker.turn()) == "You wrote: stop"
    turn = unhurried.control.sent()["turns"][0]
    assert turn["interrupted_ms"]
    assert turn["generation_complete_ms"] is None


def test_interrupted_also_when_all_is_sent_but_not_played(unhurried: StandIn) -> None:
    with session(unhurried) as talker:
        talker.text("/burst 40")
        talker.until(lambda f: f.get("serverContent", {}).get("generationComplete"))
        talker.text("stop")
        assert contents(talker.turn())[:2] == ["interrupted", "turnComplete"]


def test_no_interruption_lets_the_answer_end_and_then_answers(standin: StandIn) -> None:
    with session(standin, LISTEN_ON) as talker:
        talker.text("/tone 440 4")
        talker.until(is_audio)
        talker.audio(speech(1) + quiet(1))
        first = talker.turn()
        assert "interrupted" not in contents(first)
        assert "generationComplete" in contents(first)
        assert words(talker.turn()).startswith("You said something")


def test_typed_sentence_is_answered(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.text("hello there")
        frames = talker.turn()
    assert words(frames) == "You wrote: hello there"
    assert len(sound(frames)) > 24000


def test_content_without_turn_complete_waits(standin: StandIn) -> None:
    def said(text: str, role: str = "user") -> dict[str, Any]:
        return {"role": role, "parts": [{"text": text}]}

    with session(standin) as talker:
        talker.send({"clientContent": {"turns": [said("a"), said("b", "model")], "turnComplete": False}})
        talker.send({"client_content": {"turns": [said("/history")], "turn_complete": True}})
        assert words(talker.turn()) == "I remember 2 turns. user: a; model: b"
        talker.send({"clientContent": {"turnComplete": True}})
        assert words(talker.turn()) == "I am listening."


def test_initial_history_gets_no_answer(standin: StandIn) -> None:
    turns = [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]
    with session(standin, historyConfig={"initialHistoryInClientContent": True}) as talker:
        talker.send({"clientContent": {"turns": turns, "turnComplete": True}})
        talker.text("/history")
        assert words(talker.turn()) == "I remember 2 turns. user: a; model: b"


def test_pictures_are_seen_and_counted(standin: StandIn) -> None:
    with session(standin) as talker:
        for data in ("/9g=", "_9g"):  # both base64 alphabets, with padding or without
            talker.send({"realtimeInput": {"video": {"data": data, "mimeType": "image/jpeg"}}})
        talker.text("/pictures")
        frames = talker.turn()
    assert words(frames) == "I have been shown 2 pictures."
    details = {d["modality"]: d["tokenCount"] for d in frames[-1]["usageMetadata"]["promptTokensDetails"]}
    assert details["IMAGE"] == 2 * 256


def test_video_must_be_an_image_and_base64(standin: StandIn) -> None:
    png = "iVBORw0KGgo="
    for blob in (
        {"data": "AAAA", "mimeType": "audio/pcm"},
        {"data": "?", "mimeType": "image/jpeg"},
        {"data": png, "mimeType": "image/jpeg"},
        {"data": "/9g=", "mimeType": "image/png"},
        {"data": "R0lGODlh", "mimeType": "image/gif"},
        {"data": "", "mimeType": "image/jpeg"},
        {"mimeType": "image/jpeg"},
        {"data": "/9g="},
    ):
        with session(standin) as talker:
            talker.send({"realtimeInput": {"video": blob}})
            assert talker.closing()[0] == 1007
    with session(standin) as talker:
        talker.send({"realtimeInput": {"video": {"data": png, "mimeType": "image/png"}}})
        talker.text("/pictures")
        assert words(talker.turn()) == "I have been shown 1 pictures."


def test_content_has_the_roles_user_and_model_only(standin: StandIn) -> None:
    for role, fits in (("user", True), ("model", True), ("system", False), ("assistant", False)):
        with session(standin) as talker:
            turns = [{"role": role, "parts": [{"text": "a"}]}, {"parts": [{"text": "hello"}]}]
            talker.send({"clientContent": {"turns": turns, "turnComplete": True}})
            if fits:
                assert words(talker.turn()) == "You wrote: hello"
            else:
                assert talker.closing() == (1007, "Please use a valid role: user, model.")


def test_media_chunks_are_refused(standin: StandIn) -> None:
    with session(standin) as talker:
        blob = {"data": "AAECAw==", "mimeType": "audio/pcm;rate=16000"}
        talker.send({"realtimeInput": {"mediaChunks": [blob]}})
        text = "realtime_input.media_chunks is deprecated. Use audio, video, or text instead."
        assert talker.closing() == (1007, text)


def test_several_keys_in_one_message(standin: StandIn) -> None:
    with session(standin) as talker:
        blob = {"data": "AAECAw==", "mimeType": "audio/pcm;rate=16000"}
        talker.send({"realtimeInput": {"audio": blob, "text": "both"}})
        assert words(talker.turn()) == "You wrote: both"


def test_usage_bills_the_whole_context_each_turn(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.audio(speech(2) + quiet(1))
        first = talker.turn()[-1]["usageMetadata"]
        talker.text("/tone 440 2")
        second = talker.turn()[-1]["usageMetadata"]
    assert first["promptTokenCount"] == pytest.approx(50, abs=3)
    assert first["totalTokenCount"] == first["promptTokenCount"] + first["responseTokenCount"]
    assert second["promptTokenCount"] > first["totalTokenCount"]
    assert second["responseTokensDetails"] == [{"modality": "AUDIO", "tokenCount": 50}]


@pytest.mark.parametrize("reading", ["usage-cumulative", "usage-per-message"])
def test_usage_within_a_turn_can_be_read_in_two_ways(standin: StandIn, reading: str) -> None:
    standin.control.scenario(reading, seconds=0.4)
    with session(standin) as talker:
        talker.text("/tone 440 2")
        counts = [frame["usageMetadata"] for frame in talker.turn() if "usageMetadata" in frame]
    whole = standin.control.sent()["turns"][0]["tokens"]
    assert len(counts) >= 4
    prompts = [count.get("promptTokenCount") for count in counts]
    responses = [count["responseTokenCount"] for count in counts]
    if reading == "usage-cumulative":
        assert counts[-1] == whole
        assert set(prompts) == {whole["promptTokenCount"]}
        assert responses == sorted(responses)
    else:
        assert prompts == [whole["promptTokenCount"]] + [None] * (len(counts) - 1)
        assert sum(responses) == whole["responseTokenCount"]
        assert sum(count["totalTokenCount"] for count in counts) == whole["totalTokenCount"]


def test_3x_models_combine_words_and_audio_in_one_frame(standin: StandIn) -> None:
    def both(frames: list[dict[str, Any]]) -> bool:
        return any({"modelTurn", "outputTranscription"} <= f.get("serverContent", {}).keys() for f in frames)

    with session(standin, model="models/gemini-3.8-live") as talker:
        talker.text("hello")
        assert both(talker.turn())
    with session(standin) as talker:
        talker.text("hello")
        assert not both(talker.turn())


def test_thought_comes_first_and_is_marked(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.text("/thought")
        first = talker.until(is_audio)[-1]
        assert first["serverContent"]["modelTurn"]["parts"][0]["thought"] is True


@pytest.mark.parametrize(
    "go_on", [{"clientContent": {"turnComplete": True}}, {"realtimeInput": {"audioStreamEnd": True}}]
)
def test_silent_model_acknowledges_speech_and_answers_when_told_to_go_on(
    standin: StandIn, go_on: dict[str, Any]
) -> None:
    standin.control.scenario("model-silent", times=2)
    with session(standin) as talker:
        talker.audio(speech(1) + quiet(1))
        talker.until(lambda f: "inputTranscription" in f.get("serverContent", {}))
        talker.send(go_on)
        with pytest.raises(TimeoutError):
            talker.turn_within(0.3)
        talker.send(go_on)
        assert "You said something" in words(talker.turn())
    assert len(standin.control.sent()["turns"]) == 1


@pytest.mark.parametrize("reason", ["", "RESPONSE_REJECTED"])
def test_empty_turn_has_only_its_reason(standin: StandIn, reason: str) -> None:
    standin.control.scenario("empty-turn", reason=reason, times=1)
    with session(standin) as talker:
        talker.text("hello")
        frames = [f["serverContent"] for f in talker.turn() if "serverContent" in f]
        assert [f for f in frames if "modelTurn" in f or "generationComplete" in f] == []
        assert frames[-1]["turnComplete"]
        assert frames[-1].get("turnCompleteReason", "") == reason
        talker.text("hello again")
        assert words(talker.turn()) == "You wrote: hello again"


def test_speech_answered_with_a_tone(standin: StandIn) -> None:
    standin.control.scenario("answer-tone", hz=700, seconds=1)
    with session(standin) as talker:
        talker.audio(speech(1) + quiet(1))
        assert len(sound(talker.turn())) == 48000


def test_unknown_commands_and_bad_arguments_get_answer(standin: StandIn) -> None:
    with session(standin) as talker:
        for typed, answer in {
            "/nothing": "There is no command /nothing. Type /help to see what there is.",
            "/tone loud": "/tone [HZ [SECONDS]] answers with a tone: could not convert",
            "/silence 1": "Silence for 1 seconds.",
            "/help": "I know these commands:\n• /help lists these commands\n• /tool",
        }.items():
            talker.text(typed)
            assert words(talker.turn()).startswith(answer)


def test_context_update_changes_the_session(standin: StandIn) -> None:
    body = {"bidiGenerateContentSetup": {"tools": []}, "fieldMask": "tools"}
    update = {"contextUpdate": {"systemInstruction": {"parts": [{"text": "New."}]}, "tools": {}}}
    search: list[dict[str, Any]] = [{"googleSearch": {}}]
    for locked, expected in ((False, []), (True, search)):
        if locked:
            standin.control.scenario("context-update-locked")
            body["bidiGenerateContentSetup"] = {"tools": [{"googleSearch": {}}]}
        with opened(address(standin, f"?access_token={token(standin, **body)}")) as talker:
            talker.send(
                {
                    "setup": {
                        "model": "models/gemini-3.8-live",
                        "generationConfig": {"responseModalities": ["AUDIO"]},
                    }
                }
            )
            talker.send(update)
            talker.text("hello")
            talker.turn()
        setup = standin.control.received()["connections"][-1]["effective_setup"]
        assert setup["systemInstruction"] == {"parts": [{"text": "New."}]}
        assert setup["tools"] == expected


def test_recorded_input_is_what_was_sent(standin: StandIn) -> None:
    samples = speech(0.2)
    with session(standin) as talker:
        talker.audio(samples)
        talker.text("hello")
        talker.turn()
    assert standin.control.received_audio() == samples.tobytes()
    frames = standin.control.received()["connections"][0]["received"]
    assert len(frames) == 1 + 10 + 1
    first = frames[1]
    assert first["frame"]["realtimeInput"]["audio"] == {
        "data": {"bytes": 640, "base64_chars": len(base64.b64encode(bytes(640)))},
        "mimeType": "audio/pcm;rate=16000",
    }
    assert first["kind"] == "text"


def test_search_names_its_sources_and_what_was_searched_for(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.text("/search warm socks")
        [found] = [
            c["groundingMetadata"]
            for f in talker.turn()
            if "groundingMetadata" in (c := f.get("serverContent", {}))
        ]
    assert found["webSearchQueries"] == ["warm socks"]
    assert [chunk["web"]["uri"].split(":")[0] for chunk in found["groundingChunks"]] == ["https", "http"]


def test_unsure_waits_for_input_without_answer(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.text("/unsure")
        assert talker.until(lambda f: "serverContent" in f)[-1] == {
            "serverContent": {"waitingForInput": True}
        }
