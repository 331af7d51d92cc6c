"""How audio is sent: frame sizes, pace, odd bytes, and answers that are slow or missing."""

from __future__ import annotations

from typing import Any

import pytest

from broker.standin import StandIn
from tests.standin.client import Talker, session, sound
from tests.standin.test_turns import is_audio


def tone(talker: Talker) -> list[dict[str, Any]]:
    talker.text("/tone 440 1")
    return talker.turn()


def test_frames_of_forty_milliseconds(standin: StandIn) -> None:
    with session(standin) as talker:
        frames = [f for f in tone(talker) if is_audio(f)]
    assert {len(sound([f])) for f in frames} == {1920}
    blob = frames[0]["serverContent"]["modelTurn"]["parts"][0]["inlineData"]
    assert blob["mimeType"] == "audio/pcm;rate=24000"


def test_odd_bytes_and_big_chunks(standin: StandIn) -> None:
    with session(standin) as talker:
        standin.control.scenario("odd-bytes")
        assert {len(sound([f])) for f in tone(talker) if is_audio(f)} == {1921}
        assert len(standin.control.sent_audio(turn=1)) == 48000  # the record holds what it meant
        standin.control.scenario("odd-bytes", off=True)
        standin.control.scenario("big-chunks", ms=500)
        assert [len(sound([f])) for f in tone(talker) if is_audio(f)] == [24000, 24000]


def test_pacing_jitter_stall_and_burst(standin: StandIn) -> None:
    """Times are stand-in seconds; only what cannot be shorter is asserted."""

    def sending_seconds() -> float:
        turn = standin.control.sent()["turns"][-1]
        return float(turn["generation_complete_ms"] - turn["first_audio_ms"]) / 1000 * 20

    with session(standin) as talker:
        standin.control.scenario("pace", speed=1)
        tone(talker)
        assert sending_seconds() >= 0.9
        standin.control.reset_scenarios()
        standin.control.scenario("jitter", max_ms=500)
        tone(talker)
        standin.control.reset_scenarios()
        standin.control.scenario("stall", after_seconds=0.4, seconds=4, times=1)
        tone(talker)
        assert sending_seconds() >= 3.5
        standin.control.scenario("burst")
        assert len(sound(tone(talker))) == 48000


def test_slow_and_missing_answers(standin: StandIn) -> None:
    with session(standin) as talker:
        standin.control.scenario("answer-slow", seconds=2, times=1)
        tone(talker)
        turn = standin.control.sent()["turns"][-1]
        assert turn["first_audio_ms"] - turn["started_ms"] >= 2000 / 20 - 5
        standin.control.scenario("mute")
        talker.text("hello")
        with pytest.raises(TimeoutError):
            talker.turn_within(0.3)
        standin.control.reset_scenarios()
        standin.control.scenario("no-turn-complete", times=1)
        talker.text("/tone 440 1")
        with pytest.raises(TimeoutError):
            talker.turn_within(0.3)
