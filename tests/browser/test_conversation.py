"""A conversation from the microphone to the loudspeaker, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.support import Bench, Demo, assert_same_sound, pcm, speak, wait_for

SENTENCE = "Hello there. Can you hear me well today?"


def test_a_spoken_sentence_is_answered_and_heard_sample_for_sample(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service, tmp_path: Path
) -> None:
    """Through the page: microphone, resampler, socket, VAD, answer, jitter buffer, loudspeaker."""
    demo = open_stage(Demo, launch_browser(speak(tmp_path, SENTENCE)))
    demo.open()
    demo.talk()
    demo.wait_state("speaking", 30)
    demo.wait_state("listening")
    wait_for("the turn's end", lambda: service.standin.control.sent()["turns"][0]["turn_complete_ms"])

    demo.page.wait_for_timeout(300)  # the recorder posts ten times a second
    sent = pcm(service.standin.control.sent_audio(turn=1))
    assert len(sent) > 24000, "the answer is shorter than a second"
    assert_same_sound(demo.recording().heard(), sent)
    assert demo.captions("user"), "no caption of what was said"
    assert demo.captions("model"), "no caption of the answer"
