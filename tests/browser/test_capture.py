"""What the microphone becomes on the wire, as the stand-in received it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.support import UNPROCESSED, Bench, Demo, Samples, level_db, pcm, speak, wait_for, write_wav

INPUT_RATE = 16000
CHUNK_BYTES = 640


def frames(service: Service) -> list[dict[str, Any]]:
    received: list[dict[str, Any]] = service.standin.control.received()["connections"][-1]["received"]
    return received


def is_audio(entry: dict[str, Any]) -> bool:
    return "audio" in entry["frame"].get("realtimeInput", {})


def seconds_heard(service: Service) -> float:
    return float(service.standin.control.received()["connections"][-1]["audio_in_seconds"])


def tones(folder: Path, *parts: tuple[float, float], seconds: float = 12) -> Path:
    """A WAV of sines: (frequency, peak)."""
    t = np.arange(int(48000 * seconds)) / 48000
    mixed: Samples = np.sum([peak * np.sin(2 * np.pi * hz * t) for hz, peak in parts], axis=0)
    return write_wav(folder / "tones.wav", mixed)


@pytest.mark.measured
def test_9_khz_does_not_fold_to_7_khz(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    """At 16 kHz a 9 kHz tone folds to 7 kHz unless a filter removes it first. A 1 kHz tone must pass.

    The browser's own noise control is off, because it would remove a steady tone.
    """
    bench = open_stage(Bench, launch_browser(tones(tmp_path, (9000, 0.4), (1000, 0.4))), UNPROCESSED)
    bench.open(service.broker.bearer())
    assert bench.start() is None
    wait_for("four seconds of tone", lambda: seconds_heard(service) > 4)
    bench.end()

    heard = pcm(service.standin.control.received_audio())[INPUT_RATE * 2 : INPUT_RATE * 4]
    # The median of four parts of half a second: a busy machine may lose a block in one of them.
    parts = np.split(heard, 4)
    passed = float(np.median([level_db(part, INPUT_RATE, 1000) for part in parts]))
    folded = float(np.median([level_db(part, INPUT_RATE, 7000) for part in parts]))
    assert passed == pytest.approx(20 * np.log10(0.4), abs=1)
    assert folded <= passed - 80


@pytest.mark.measured
def test_speech_arrives_as_20_ms_chunks_after_setup_complete(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    demo = open_stage(Demo, launch_browser(speak(tmp_path, "These are some words.", before=0.2)))
    service.standin.control.scenario("setup-slow", seconds=1.5)
    demo.open()
    demo.talk()
    demo.wait_state("speaking", 30)
    received = frames(service)
    ready_ms = service.standin.control.received()["connections"][-1]["ready_ms"]

    assert "setup" in received[0]["frame"]
    assert all(entry["ms"] >= ready_ms for entry in received[1:])
    audio = [entry for entry in received if is_audio(entry)]
    assert {entry["frame"]["realtimeInput"]["audio"]["mimeType"] for entry in audio} == {
        "audio/pcm;rate=16000"
    }
    assert {entry["frame"]["realtimeInput"]["audio"]["data"]["bytes"] for entry in audio} == {CHUNK_BYTES}
    # Speech from before the setup arrives too: more sound than the time since then.
    span_seconds = (audio[-1]["ms"] - ready_ms) / 1000
    assert len(audio) * 0.02 - span_seconds > 0.8


@pytest.mark.measured
def test_at_most_five_seconds_are_kept_before_setup_complete(bench: Bench, service: Service) -> None:
    service.standin.control.scenario("setup-slow", seconds=7)
    assert bench.start() is None
    ready_ms = service.standin.control.received()["connections"][-1]["ready_ms"]
    wait_for("live sound", lambda: frames(service)[-1]["ms"] > ready_ms + 2000)
    audio = [entry["ms"] for entry in frames(service) if is_audio(entry)]
    # The surplus over the time since then was kept: 250 chunks are 5 s, plus or minus 0.5 s.
    assert 225 <= len(audio) - (audio[-1] - ready_ms) / 20 <= 275
    assert bench.diagnostics()["capture"]["droppedChunks"] >= 50
    bench.end()


def test_mute_sends_one_end_of_stream_and_no_sound(bench: Bench, service: Service) -> None:
    assert bench.start() is None
    wait_for("sound", lambda: seconds_heard(service) > 0.5)
    bench.page.evaluate("bench.session.setMuted(true)")
    wait_for("its end", lambda: frames(service)[-1]["frame"] == {"realtimeInput": {"audioStreamEnd": True}})
    before = len(frames(service))
    bench.page.wait_for_timeout(500)
    assert len(frames(service)) == before
    bench.page.evaluate("bench.session.setMuted(false)")
    wait_for("sound again", lambda: len(frames(service)) > before + 10)
    assert is_audio(frames(service)[-1])
    bench.end()


def test_end_releases_microphone_connection_and_worker(bench: Bench, service: Service) -> None:
    assert bench.start() is None
    wait_for("sound", lambda: seconds_heard(service) > 0.2)
    with bench.page.expect_response("**/sessions/*/end") as ended:
        bench.end()
    assert ended.value.status == 200
    assert bench.state() == "ended"
    closed = wait_for("the close", lambda: service.standin.control.received()["connections"][-1]["closed"])
    assert closed["code"] == 1000
    wait_for("the worker's end", bench.worker_ended)
    # The same object may start again.
    assert bench.start() is None
    wait_for("sound on the second line", lambda: seconds_heard(service) > 0.2)
    bench.end()


def test_denied_microphone_ends_the_session(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service
) -> None:
    bench = open_stage(Bench, launch_browser(deny=True))
    bench.open(service.broker.bearer())
    error = bench.start()
    assert error["reason"] == "permission-denied"
    assert error["detail"]
    assert bench.state() == "error"
    assert [e["detail"]["error"]["reason"] for e in bench.events("error")] == ["permission-denied"]
    wait_for("the worker's end", bench.worker_ended)
    assert service.standin.control.health()["open_connections"] == 0


def test_lost_microphone_is_replaced(open_stage: OpenStage, service: Service) -> None:
    """The track ends, as if a headset is unplugged. The connection and the worklet stay."""
    script = """
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      globalThis.streams = [];
      navigator.mediaDevices.getUserMedia = async (wish) => {
        const stream = await ask(wish);
        streams.push(stream);
        return stream;
      };
    """
    bench = open_stage(Bench, None, script)
    bench.open(service.broker.bearer())
    assert bench.start() is None
    bench.page.evaluate(
        "() => { const [track] = streams[0].getTracks(); track.stop();"
        " track.dispatchEvent(new Event('ended')); }"
    )
    wait_for("the second microphone", lambda: bench.page.evaluate("streams.length") == 2)
    before = seconds_heard(service)
    wait_for("its sound", lambda: seconds_heard(service) > before + 0.5)
    assert bench.state() in ("listening", "thinking", "speaking")
    bench.end()
    ended = bench.page.evaluate("streams.flatMap(s => s.getTracks()).every(t => t.readyState === 'ended')")
    assert ended, "the microphone is still open"
