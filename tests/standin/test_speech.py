"""Speech: its start and end are detected, and the answer repeats it at 24 kHz."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
import pytest

from broker.standin import StandIn
from broker.standin.resample import Resampler
from broker.standin.vad import SpeechDetector, SpeechEnded, SpeechStarted
from broker.standin.voice import chimes
from tests.standin.client import Talker, flags, quiet, session, sound, speech, words

MANUAL = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}


def spectrum_peak(pcm: bytes, rate: int = 24000) -> tuple[float, float]:
    """(frequency, RMS) of the loudest part."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    found = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(found) * rate / len(samples)), float(np.sqrt(np.mean(samples**2)))


def test_repeats_what_was_said(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.audio(quiet(0.4) + speech(1.8) + quiet(1.2))
        frames = talker.turn()
    assert words(frames, "inputTranscription") == "(you spoke for 1.8 seconds)"
    assert words(frames) == "You said something that took 1.8 seconds; here it is."
    pcm = sound(frames)
    assert 1.8 < len(pcm) / 48000 < 2.5  # with the room before and after
    hz, level = spectrum_peak(pcm)
    assert hz == pytest.approx(300, abs=1)
    assert 2500 < level < 4500
    assert standin.control.sent_audio(turn=1) == pcm
    assert len(standin.control.received_audio()) == 2 * 16000 * 3.4


def test_order_of_a_spoken_turn(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.audio(speech(1) + quiet(1.2))
        order = [name for name in flags(talker.turn()) if name != "sessionResumptionUpdate"]
    assert order[0] == "inputTranscription"
    assert order[1] == "modelTurn"
    assert order[-3:] == ["generationComplete", "turnComplete", "usageMetadata"]
    assert "outputTranscription" in order[2:-3]


def test_audio_comes_faster_than_it_plays_and_the_turn_ends_when_it_has_played(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.text("/tone 440 8")
        talker.turn()
    turn = standin.control.sent()["turns"][0]
    sent_ms = turn["generation_complete_ms"] - turn["first_audio_ms"]
    played_ms = turn["turn_complete_ms"] - turn["first_audio_ms"]
    assert played_ms * 20 >= 8000 - 100  # never before it would have been heard
    assert sent_ms < played_ms


def test_five_seconds_are_answered_at_once() -> None:
    """No scaled clock here: from the end of speech to the first audio, usually some 10 ms."""
    with StandIn() as real, session(real) as talker:
        talker.audio(speech(5) + quiet(0.9))
        talker.until(lambda f: "modelTurn" in f.get("serverContent", {}))
        ended = real.control.received()["connections"][0]["speech"][-1]["ms"]
        assert real.control.sent()["turns"][0]["first_audio_ms"] - ended < 500


@pytest.mark.parametrize("rate", [8000, 24000, 44100, 48000])
def test_mime_type_sets_sample_rate(standin: StandIn, rate: int) -> None:
    with session(standin) as talker:
        talker.audio(speech(1, rate=rate) + quiet(1.2, rate), f"audio/pcm;rate={rate}")
        frames = talker.turn()
    assert spectrum_peak(sound(frames))[0] == pytest.approx(300, abs=2)
    assert words(frames, "inputTranscription") == "(you spoke for 1.0 seconds)"


@pytest.mark.parametrize(
    "mime",
    [
        "image/png",
        "audio/wav",
        "audio/L16",
        "audio/pcm;rate=1",
        "audio/pcm;rate=abc",
        "audio/pcm;channels=2",
        "audio/pcm;rate=16000;channels=2",
        "",
    ],
)
def test_other_media_types_are_refused(standin: StandIn, mime: str) -> None:
    with session(standin) as talker:
        talker.audio(quiet(0.02), mime)
        assert talker.closing() == (1007, "Request contains an invalid argument.")


def test_without_a_rate_it_is_16_khz(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.audio(quiet(0.02), "audio/pcm")
        talker.audio(quiet(0.02), "Audio/PCM; rate=16000")
        talker.text("hello")
        talker.turn()
    assert len(standin.control.received_audio()) == 2 * 640


@pytest.mark.parametrize("data", ["AAEC", "AA==", "", None])
def test_audio_without_whole_samples_is_refused(standin: StandIn, data: str | None) -> None:
    blob = {"mimeType": "audio/pcm;rate=16000"} | ({} if data is None else {"data": data})
    with session(standin) as talker:
        talker.send({"realtimeInput": {"audio": blob}})
        assert talker.closing() == (1007, "Request contains an invalid argument.")


@pytest.mark.parametrize("marks", [["activityEnd"], ["activityStart", "activityStart"]])
@pytest.mark.parametrize("lenient", [False, True])
def test_marks_that_change_nothing_are_refused_or_ignored(
    standin: StandIn, marks: list[str], lenient: bool
) -> None:
    if lenient:
        standin.control.scenario("lenient-activity")
    with session(standin, MANUAL) as talker:
        for mark in marks:
            talker.send({"realtimeInput": {mark: {}}})
        if not lenient:
            assert talker.closing() == (1007, "Request contains an invalid argument.")
            return
        talker.text("hello")
        if "activityStart" in marks:  # the text belongs to the open activity
            talker.send({"realtimeInput": {"activityEnd": {}}})
        assert words(talker.turn()) == "You wrote: hello"


def test_stream_end_ends_the_utterance(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.audio(speech(1))
        talker.send({"realtimeInput": {"audioStreamEnd": True}})
        assert words(talker.turn(), "inputTranscription") == "(you spoke for 1.0 seconds)"


def test_manual_activity(standin: StandIn) -> None:
    with session(standin, MANUAL) as talker:
        talker.audio(speech(0.5))  # outside of a window: not for the model
        talker.send({"realtimeInput": {"activityStart": {}}})
        talker.audio(speech(1) + quiet(2) + speech(1))
        talker.send({"realtime_input": {"activityEnd": {}}})
        frames = talker.turn()
        assert words(frames, "inputTranscription") == "(you spoke for 4.0 seconds)"
        assert len(sound(frames)) == pytest.approx(4 * 48000, abs=200)
        talker.send({"realtimeInput": {"activityStart": {}}})
        talker.audio(speech(0.2))
        talker.text("/tone 880 1")  # belongs to the window
        talker.send({"realtimeInput": {"activityEnd": {}}})
        assert spectrum_peak(sound(talker.turn()))[0] == pytest.approx(880, abs=2)


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ({}, {"activityStart": {}}),
        ({}, {"activityEnd": {}}),
        (MANUAL, {"audioStreamEnd": True}),
    ],
)
def test_activity_marks_of_other_mode_are_refused(
    standin: StandIn, setup: dict[str, Any], message: dict[str, Any]
) -> None:
    with session(standin, setup) as talker:
        talker.send({"realtimeInput": message})
        code, reason = talker.closing()
        assert code == 1007
        explicit = "Explicit activity control is not supported when automatic activity detection is enabled."
        assert (reason == explicit) == ("audioStreamEnd" not in message)


def test_transcripts_only_on_request(standin: StandIn) -> None:
    setup = {"model": "models/gemini-3.8-live", "generationConfig": {"responseModalities": ["AUDIO"]}}
    from tests.standin.client import address, opened, token

    with opened(address(standin, f"?access_token={token(standin)}")) as talker:
        talker.send({"setup": setup})
        talker.audio(speech(1) + quiet(1))
        frames = talker.turn()
    assert words(frames) == words(frames, "inputTranscription") == ""
    assert sound(frames)


def test_38_sends_voice_activity_beside_empty_content(standin: StandIn) -> None:
    with session(standin, model="models/gemini-3.8-live") as talker:
        talker.audio(quiet(0.2) + speech(1) + quiet(1))
        told = [f for f in talker.turn() if "voiceActivity" in f]
    assert [f["voiceActivity"]["type"] for f in told] == ["ACTIVITY_START", "ACTIVITY_END"]
    assert told[0] == {
        "serverContent": {},
        "voiceActivity": {"type": "ACTIVITY_START", "audioOffset": "0.200s"},
    }


# -- the detector alone ---------------


def heard(samples: array[int], **detection: Any) -> list[SpeechStarted | SpeechEnded]:
    return SpeechDetector(detection).feed(samples)


def noise(seconds: float, level: float) -> array[int]:
    drawn = np.random.default_rng(7).normal(0, level, round(seconds * 16000))
    return array("h", drawn.astype("<i2").tobytes())


def test_noise_is_not_speech() -> None:
    assert heard(noise(10, 60)) == []
    assert heard(quiet(0.3) + noise(10, 120)) == []


def test_speech_above_noise_is_detected() -> None:
    mixed = array(
        "h", [a + b for a, b in zip(quiet(1) + speech(1) + quiet(1.5), noise(3.5, 80), strict=True)]
    )
    start, end = heard(mixed)
    assert isinstance(start, SpeechStarted)
    assert isinstance(end, SpeechEnded)
    assert start.offset_seconds == pytest.approx(1.0, abs=0.05)
    assert end.seconds == pytest.approx(1.0, abs=0.1)


def test_silence_duration_decides_whether_pause_ends_speech() -> None:
    pausing = speech(0.5) + quiet(0.6) + speech(0.5) + quiet(1)
    assert len(heard(pausing)) == 2
    assert len(heard(pausing, silenceDurationMs=300)) == 4


def test_prefix_padding_is_the_shortest_speech() -> None:
    click = quiet(0.2) + speech(0.1) + quiet(1)
    assert len(heard(click)) == 2
    assert heard(click, prefixPaddingMs=300) == []


def test_low_sensitivity_ignores_whispers() -> None:
    whisper = quiet(0.2) + speech(1, level=500) + quiet(1)
    assert len(heard(whisper)) == 2
    assert heard(whisper, startOfSpeechSensitivity="START_SENSITIVITY_LOW") == []


# -- the resampler alone ---------------


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(16000, 24000), (48000, 16000), (44100, 16000), (8000, 16000)]
)
def test_resampling_keeps_the_tone_and_adds_no_image(rate_in: int, rate_out: int) -> None:
    hz = 3000.0
    source = speech(1, hz, 10000, rate_in)
    resampler = Resampler(rate_in, rate_out)
    out: array[int] = array("h")
    for at in range(0, len(source), 441):  # odd pieces: the state must carry over
        out.extend(resampler.feed(source[at : at + 441]))
    out.extend(resampler.flush())
    assert len(out) == pytest.approx(rate_out, abs=4)
    steady = np.array(out[1000:-1000], float)
    times = np.arange(len(steady)) / rate_out
    basis = np.stack([np.sin(2 * math.pi * hz * times), np.cos(2 * math.pi * hz * times)], 1)
    fit = basis @ np.linalg.lstsq(basis, steady, rcond=None)[0]
    assert np.sqrt(np.mean(fit**2)) == pytest.approx(10000 / math.sqrt(2), rel=0.01)
    assert np.sqrt(np.mean((steady - fit) ** 2)) < 7071 * 10 ** (-70 / 20)


def test_frequencies_above_new_band_do_not_alias() -> None:
    resampler = Resampler(48000, 16000)
    out = np.array(resampler.feed(speech(0.5, 9000, 20000, 48000))[500:], float)
    assert np.sqrt(np.mean(out**2)) < 14142 * 10 ** (-60 / 20)


def test_chimes_do_not_clip_and_have_declared_length() -> None:
    answer = chimes("You wrote: hello, how are you?")
    pcm = b"".join(answer.chunks())
    assert len(pcm) / 48000 == pytest.approx(answer.seconds)
    assert max(map(abs, array("h", pcm))) < 32000


TRANSCRIBER = "models/gemini-3.5-transcribe-live"


def dictated(**asked: Any) -> dict[str, Any]:
    return {
        "model": TRANSCRIBER,
        "generationConfig": {"responseModalities": ["TEXT"]},
        "inputAudioTranscription": asked,
    }


def segment(talker: Talker) -> list[dict[str, Any]]:
    """The contents of frames up to the next finished words."""
    found: list[dict[str, Any]] = []
    while "inputTranscription" not in (found or [{}])[-1]:
        found.append(talker.next().get("serverContent", {}))
    return found


def test_model_that_writes_guesses_while_the_user_speaks_and_answers_nothing(standin: StandIn) -> None:
    with session(standin, setup=dictated()) as talker:
        talker.audio(quiet(0.4) + speech(1.8) + quiet(1.2))
        contents = segment(talker)
        talker.text("hello")
        talker.audio(speech(0.6) + quiet(1.2))
        last = segment(talker)[-1]["inputTranscription"]
    guesses = [c["interimInputTranscription"]["text"] for c in contents if "interimInputTranscription" in c]
    assert guesses[:3] == ["word", "word 2", "word 2 3"]
    final = contents[-1]["inputTranscription"]
    assert final["text"] == "word 2 3"
    assert "speakerLabel" not in final
    assert last["text"] == "word"
    assert float(last["startOffset"][:-1]) > float(final["endOffset"][:-1])
    assert standin.control.sent()["turns"] == []


def test_speakers_and_times_come_if_the_setup_asks(standin: StandIn) -> None:
    with session(standin, setup=dictated(diarization=True, wordTimestamp=True)) as talker:
        for label in ("spk_1", "spk_2", "spk_1"):
            talker.audio(speech(1.1) + quiet(1.2))
            said = segment(talker)[-1]["inputTranscription"]
            assert said["speakerLabel"] == label
            assert [word["word"] for word in said["words"]] == said["text"].split()
            assert said["words"][-1]["endOffset"] == said["endOffset"]
