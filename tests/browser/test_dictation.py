"""A model that only writes: the user speaks, the words appear, and no loudspeaker is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from broker.standin import StandIn
from broker.store.database.tables import session_reports
from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.stage_server import StageServer
from tests.browser.support import Bench, Demo, Samples, wait_for, write_wav
from tests.support.environment import write_config

# Notes each audio context and what is connected to a loudspeaker. Runs before the page's scripts.
WATCH_OUTPUT = """
globalThis.outputs = { connected: 0, contexts: [] };
const RealContext = globalThis.AudioContext;
globalThis.AudioContext = class extends RealContext {
    constructor(options) {
        super(options);
        if (options?.sampleRate === 24000) outputs.contexts.push(this);
    }
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
    outputs.connected += to instanceof AudioDestinationNode && this.context.sampleRate === 24000;
    return connect.call(this, to, ...more);
};
"""
OUTPUTS = "({ connected: outputs.connected, states: outputs.contexts.map(({ state }) => state) })"
SPEAKERS = """
[profiles.meeting]
description = "Two people"
models = ["gemini-3.5-transcribe-live"]
[profiles.meeting.config]
response_modalities = ["TEXT"]
[profiles.meeting.config.input_audio_transcription]
diarization = true
word_timestamp = true
"""


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("dictation")
    config = write_config(folder, more=SPEAKERS)
    with StandIn(port=0) as standin, StageServer(folder, standin.url, config=config) as broker:
        yield Service(standin, broker)


def speech(folder: Path) -> Path:
    """Two utterances of 1.3 s, with a second of silence between them and before."""
    rate = 48000
    tone: Samples = 0.4 * np.sin(2 * np.pi * 400 * np.arange(int(1.3 * rate)) / rate)
    silence = np.zeros(int(1.5 * rate))
    return write_wav(folder / "dictated.wav", np.concatenate([silence, tone, silence, tone, silence]), rate)


def final_captions(bench: Bench) -> list[dict[str, object]]:
    found = [event["detail"] for event in bench.events("caption")]
    return [caption for caption in found if caption["final"]]


def test_words_appear_and_no_loudspeaker_is_opened(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    """The page makes an audio context inside the click. The token says that nothing will be heard."""
    bench = open_stage(Bench, launch_browser(speech(tmp_path)), WATCH_OUTPUT)
    bench.open(service.broker.bearer(), body={"profile": "dictation"})
    assert bench.start() is None
    wait_for("two segments", lambda: len({caption["id"] for caption in final_captions(bench)}) == 2)
    guesses = [event["detail"]["text"] for event in bench.events("caption") if not event["detail"]["final"]]
    assert guesses[0] == "word"
    turns = bench.page.evaluate("JSON.parse(bench.session.transcriptJson())")
    assert [(turn["role"], turn["text"]) for turn in turns] == [("user", "word 2"), ("user", "word 2")]
    assert turns[0]["startMs"] < turns[0]["endMs"] <= turns[1]["startMs"] < turns[1]["endMs"]
    assert {event["detail"]["state"] for event in bench.events("statechange")} == {"connecting", "listening"}
    assert bench.page.evaluate(OUTPUTS) == {"connected": 0, "states": ["closed"]}
    assert bench.page.evaluate("bench.session.model.replies") is False
    bench.end()
    wait_for("the end", lambda: service.broker.sessions()[-1] == "ended")
    with service.broker.database.read() as store:
        report = store.execute(select(session_reports.c.data)).scalars().all()[-1]
    assert report.get("played_seconds", 0) == 0
    assert report["input_rate"] > 0
    assert bench.events("error") == []


def test_speakers_and_times_of_words_are_in_the_transcript(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    bench = open_stage(Bench, launch_browser(speech(tmp_path)))
    bench.open(service.broker.bearer(), body={"profile": "meeting"})
    assert bench.start() is None
    wait_for("two segments", lambda: len({caption["id"] for caption in final_captions(bench)}) == 2)
    turns = bench.page.evaluate("JSON.parse(bench.session.transcriptJson())")
    assert [turn["speaker"] for turn in turns] == ["spk_1", "spk_2"]
    assert [word["word"] for word in turns[0]["words"]] == ["word", "2"]
    assert turns[0]["words"][0]["startMs"] == turns[0]["startMs"]
    assert bench.page.evaluate("bench.session.transcriptText()") == "spk_1: word 2\nspk_2: word 2\n"


def test_page_offers_dictation_and_shows_the_words(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    demo = open_stage(Demo, launch_browser(speech(tmp_path)), WATCH_OUTPUT)
    demo.open()
    demo.page.get_by_role("radio", name="Two people").check()
    demo.talk()
    lines = demo.page.locator("#captions [data-role=user][data-final]")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("word 2")
    assert lines.locator(".speaker").all_inner_texts() == ["Speaker 1", "Speaker 2"]
    assert demo.state() == "listening"
    assert demo.page.evaluate(OUTPUTS) == {"connected": 0, "states": ["closed"]}
