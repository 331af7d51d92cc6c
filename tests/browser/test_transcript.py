"""Transcripts follow the sound, end where an interruption cut it, and survive reconnects. Recordings too."""

from __future__ import annotations

import base64
import io
import statistics
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.support import Bench, Samples, pcm, wait_for, write_wav

LONG = "/long 15"
QUANTUM = 128


def fragments(service: Service) -> list[tuple[int, str]]:
    """The words that the last connection sent: (samples sent before them, text)."""
    position, found = 0, []
    for entry in service.standin.control.sent()["frames"]:
        content = entry["frame"].get("serverContent", {})
        if "outputTranscription" in content:
            found.append((position, content["outputTranscription"]["text"]))
        for part in content.get("modelTurn", {}).get("parts", []):
            position += part["inlineData"]["data"]["bytes"] // 2
    return found


def turns(bench: Bench) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.page.evaluate("bench.session.transcript")
    return found


def model_turn(bench: Bench) -> dict[str, Any]:
    return next(turn for turn in turns(bench) if turn["role"] == "model")


def test_interrupted_answer_ends_with_its_last_heard_word(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    bench.say(LONG)
    bench.wait_state("speaking")
    bench.page.wait_for_timeout(2500)
    service.standin.control.push(interrupt=True)
    wait_for("the end of the caption", lambda: model_turn(bench)["final"])
    bench.page.wait_for_timeout(300)  # the recorder posts ten times a second
    turn = model_turn(bench)
    sent = fragments(service)
    assert turn["interrupted"]
    assert turn["text"] == "".join(text for position, text in sent if position <= turn["heardSamples"])
    assert len(turn["text"]) < len("".join(text for _, text in sent)), "all of it had come"
    # The sound ends where the caption ends, except for a pause between two words.
    heard = len(bench.recording().heard())
    assert 0 <= turn["heardSamples"] - heard <= 0.3 * 24000
    bench.page.wait_for_timeout(500)
    assert model_turn(bench)["text"] == turn["text"], "words arrived after the interruption"


def test_words_appear_with_their_sound(bench: Bench, service: Service) -> None:
    service.standin.control.scenario("burst")
    assert bench.start(microphone=False) is None
    bench.say("/long 4")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    bench.page.wait_for_timeout(300)
    recording = bench.recording()
    first = int(np.flatnonzero(recording.samples)[0])
    shown = [e for e in bench.events("caption") if e["detail"]["role"] == "model"]
    delays, text = [], ""
    for position, fragment in fragments(service):
        text += fragment
        at = next(e["at"] for e in shown if e["detail"]["text"].startswith(text))
        delays.append(at - recording.times[min((first + position) // QUANTUM, len(recording.times) - 1)])
    assert len(delays) >= 3
    # All words arrive at once. Each waits for its sound, which the worklet reports 20 times a second.
    assert -20 <= statistics.median(delays) <= 200
    sentences = [e["detail"]["text"] for e in bench.events("sentence") if e["detail"]["role"] == "model"]
    assert " ".join(sentences) == text.strip()


def test_new_session_gets_the_history_and_the_transcript_continues(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    bench.say("My name is Ada.")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    wait_for("the end of the turn, which may come after its sound", lambda: turns(bench)[-1]["final"])
    before = turns(bench)
    assert [(turn["role"], turn["text"]) for turn in before] == [
        ("user", "My name is Ada."),
        ("model", "You wrote: My name is Ada."),
    ]
    service.standin.control.scenario("resume-refused")
    service.standin.control.push(drop=True)
    wait_for("the new session", lambda: bench.events("reconnected"), 30)
    assert bench.events("reconnected")[-1]["detail"]["seeded"]
    bench.say("/history")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    after = turns(bench)
    assert after[:2] == before
    assert "user: My name is Ada." in after[-1]["text"]
    assert len({turn["id"] for turn in after}) == 4
    assert [turn["turn"] for turn in after] == sorted(turn["turn"] for turn in after)
    lines = bench.page.evaluate("bench.session.transcriptText()").splitlines()
    assert lines[0] == "User: My name is Ada."
    assert bench.page.evaluate("JSON.parse(bench.session.transcriptJson())") == after


def bursts(folder: Path) -> Path:
    """A microphone file: 3 s of silence, a tone of 0.6 s, and silence."""
    rate = 48000
    samples = np.zeros(30 * rate)
    at = np.arange(int(0.6 * rate))
    samples[3 * rate : 3 * rate + len(at)] = 0.5 * np.sin(2 * np.pi * 500 * at / rate)
    return write_wav(folder / "burst.wav", samples, rate)


def onset(samples: Samples, level: float = 0.03) -> int:
    return int(np.flatnonzero(np.abs(samples) > level)[0])


@pytest.mark.measured
def test_recording_has_both_voices_at_their_times(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    """The user's tone is on the left and the whole answer on the right, at their real distance."""
    service.standin.control.scenario("answer-tone", hz=200, seconds=1.5)
    service.standin.control.scenario("burst")
    bench = open_stage(Bench, launch_browser(bursts(tmp_path)))
    bench.open(service.broker.bearer())
    assert bench.start() is None
    bench.page.evaluate("bench.session.startRecording()")
    bench.wait_state("speaking", 30)
    bench.wait_state("listening")
    bench.page.wait_for_timeout(500)
    played = bench.recording()
    bench.end()
    encoded = bench.page.evaluate(
        """async () => {
          const wav = await bench.session.stopRecording();
          const reader = new FileReader();
          await new Promise((resolve) => { reader.onload = resolve; reader.readAsDataURL(wav); });
          return reader.result.split(',')[1];
        }"""
    )
    with wave.open(io.BytesIO(base64.b64decode(encoded))) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 24000, 2)
        both = pcm(file.readframes(file.getnframes())).reshape(-1, 2)
    left, right = both[:, 0], both[:, 1]

    answer = pcm(service.standin.control.sent_audio(turn=1))
    begun = onset(right, 0.001)
    first = int(np.flatnonzero(answer)[0])
    assert np.array_equal(right[begun : begun + len(answer) - first], answer[first:]), (
        "the answer, to the sample"
    )
    assert not right[:begun].any()

    heard = pcm(service.standin.control.received_audio())
    spoken = left[onset(left) : onset(left) + 14400]
    assert (
        abs(np.sqrt(np.mean(spoken**2)) - np.sqrt(np.mean(heard[onset(heard) : onset(heard) + 9600] ** 2)))
        < 0.02
    )
    # When the tone left the microphone: the arrival of the frame that begins with it, 20 ms long.
    frames = [
        entry["ms"]
        for entry in service.standin.control.received()["connections"][-1]["received"]
        if "audio" in entry["frame"].get("realtimeInput", {})
    ]
    user_ms = frames[onset(heard) // 320] - 20
    model_ms = float(played.times[onset(played.samples, 0.001) // QUANTUM])
    on_tape = (begun - onset(left)) / 24
    assert abs(on_tape - (model_ms - user_ms)) <= 50
    assert [e["detail"]["state"] for e in bench.events("recording")] == ["on", "off"]


def test_muted_microphone_is_not_recorded(bench: Bench, service: Service) -> None:
    """The microphone beeps all the time. While it is muted, the left channel is silent."""
    assert bench.start() is None
    bench.page.evaluate("bench.session.setMuted(true)")
    bench.page.evaluate("bench.session.startRecording()")
    bench.say("/tone 300 1")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    loud = bench.page.evaluate(
        """async () => {
          const wav = await bench.session.stopRecording();
          const samples = new Int16Array((await wav.arrayBuffer()).slice(44));
          const loud = [0, 0];
          samples.forEach((sample, n) => { if (sample) loud[n % 2] += 1; });
          return loud;
        }"""
    )
    assert loud[0] == 0
    assert loud[1] > 12000  # of 24,000; a busy machine leaves some out
    assert bench.page.evaluate("bench.session.stopRecording()") is None
