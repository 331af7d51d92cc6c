"""Turn-taking: push-to-talk, half-duplex, the echo guard, and the test tone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from broker.standin import StandIn
from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.stage_server import StageServer
from tests.browser.support import UNPROCESSED, Bench, Samples, level_db, speak, wait_for
from tests.support.environment import write_config

MANUAL = """
[profiles.manual]
description = "The client says when the user speaks"
models = ["gemini-2.5-flash-native-audio-preview-09-2025"]
plans = ["*"]

[profiles.manual.config]
response_modalities = ["AUDIO"]

[profiles.manual.config.realtime_input_config.automatic_activity_detection]
disabled = true
"""
# An init script: the microphone hears what the loudspeaker plays, 0.2 s later and so softly that
# the stand-in does not take it for speech: the test decides when it would have. The page opens the
# microphone before the loudspeaker, so it has a context of its own.
ECHO = """
{
  const connect = AudioNode.prototype.connect;
  let room;
  const ear = () => {
    room ??= new MediaStreamAudioDestinationNode(new AudioContext());
    return room;
  };
  navigator.mediaDevices.getUserMedia = async () => ear().stream;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const { context } = this;
      const late = new DelayNode(context, { delayTime: 0.2 });
      const soft = new GainNode(context, { gain: 0.01 });
      const heard = new MediaStreamAudioDestinationNode(context);
      for (const [from, to] of [[this, late], [late, soft], [soft, heard]]) connect.call(from, to);
      const mediaStream = heard.stream;
      connect.call(new MediaStreamAudioSourceNode(ear().context, { mediaStream }), ear());
    }
    return connect.call(this, target, ...rest);
  };
}
"""


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A broker whose profile `manual` lets the client mark the user's speech."""
    folder = tmp_path_factory.mktemp("manual")
    config = write_config(folder, more=MANUAL)
    with StandIn(port=0) as standin, StageServer(folder, standin.url, config=config) as broker:
        yield Service(standin, broker)


def kinds(service: Service) -> list[tuple[str, float]]:
    """The messages after the setup (`audio`, `activityStart`, …) with their epoch milliseconds."""
    received: list[dict[str, Any]] = service.standin.control.received()["connections"][-1]["received"]
    return [(kind, entry["ms"]) for entry in received for kind in entry["frame"].get("realtimeInput", {})]


def test_push_to_talk_sends_speech_only_while_pressed(manual: Service, browser: Browser) -> None:
    bench = Bench(browser.new_page(), manual.broker.url)
    bench.open(manual.broker.bearer(), body={"profile": "manual"})
    assert bench.start() is None
    assert bench.page.evaluate("bench.session.inputMode") == "push-to-talk"
    bench.page.wait_for_timeout(500)
    assert kinds(manual) == []
    bench.page.evaluate("bench.session.talk(true)")
    wait_for("half a second of sound", lambda: len(kinds(manual)) > 25)
    bench.page.evaluate("bench.session.talk(false)")
    bench.wait_state("speaking")  # the stand-in repeats what it heard
    began, *said, ended = [kind for kind, _ in kinds(manual)]
    assert (began, set(said), ended) == ("activityStart", {"audio"}, "activityEnd")
    bench.page.close()
    assert bench.faults == []


def test_half_duplex_sends_no_microphone_sound_while_the_model_speaks(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    soft = speak(tmp_path, "This is too soft to interrupt anybody.", before=0, peak_db=-42)
    bench = open_stage(Bench, launch_browser(soft), UNPROCESSED)
    bench.open(service.broker.bearer(), halfDuplex=True)
    assert bench.start() is None
    wait_for("sound", lambda: len(kinds(service)) > 10)
    bench.say("/tone 200 1.5")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    bench.page.wait_for_timeout(500)  # a quarter of a second later the microphone is heard again
    said = [(kind, ms) for kind, ms in kinds(service) if kind != "text"]
    [end] = [at for at, (kind, _) in enumerate(said) if kind == "audioStreamEnd"]
    assert len(said) > end + 1, "it is not heard again"
    assert said[end + 1][1] - said[end][1] > 1500 * 0.9, "it was heard during the answer"


def test_echo_of_the_models_own_voice_is_detected(open_stage: OpenStage, service: Service) -> None:
    """At the third interruption: the first loads the guard, and one may be chance. Later on a busy machine.

    Half a second of sound, a pause, sound again: so that levels which come late follow each other, too.
    """
    service.standin.control.scenario("stall", after_seconds=0.5, seconds=1.2)
    bench = open_stage(Bench, None, ECHO)
    bench.open(service.broker.bearer())
    assert bench.start() is None
    interruptions = 0
    while not bench.events("echo") and interruptions < 9:
        interruptions += 1
        service.standin.control.push(command="/tone 300 20")  # the user says nothing
        bench.wait_state("speaking")
        bench.page.wait_for_timeout(2000)
        service.standin.control.push(interrupt=True)
        bench.wait_state("listening")
        bench.page.wait_for_timeout(100)
    print(f"{interruptions} interruptions")
    assert [event["detail"] for event in bench.events("echo")] == [{"cause": "heard"}]
    assert interruptions >= 3


def test_test_tone_is_heard(bench: Bench) -> None:
    rate = int(bench.page.evaluate("new AudioContext().sampleRate"))

    def play() -> list[Samples]:
        bench.page.evaluate("recording.parts = []")
        bench.page.evaluate("bench.session.playTestTone()")
        bench.page.wait_for_timeout(200)
        heard = bench.recording().heard()
        return [heard] if len(heard) > 0.2 * rate else []  # the recorder comes a little later than the tone

    (heard,) = wait_for("enough of the tone", play)
    assert level_db(heard, rate, 440) > level_db(heard, rate, 1000) + 40
    assert 0.15 < np.abs(heard).max() <= 0.2001
