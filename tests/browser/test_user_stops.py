"""`interrupt()`: the user stops the model without words. Nothing leaks into the next answer."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import OpenStage, Service
from tests.browser.support import Bench, Demo, Recording, assert_at_most, assert_same_sound, pcm, wait_for

SILENT_WITHIN_MS = 15
LARGEST_STEP = 0.03
STOP = "() => { const at = Date.now(); bench.session.interrupt(); return at; }"


def _words(bench: Bench) -> list[str]:
    """The latest text of each of the model's captions."""
    last = {e["detail"]["id"]: e["detail"] for e in bench.events("caption")}
    return [caption["text"] for caption in last.values() if caption["role"] == "model"]


def _turns(service: Service) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = service.standin.control.sent()["turns"]
    return turns


def _stop_in_mid_answer(bench: Bench, service: Service) -> Recording:
    """Stops a long answer and hears the next one. Returns what was heard from a second after the stop."""
    assert bench.start(microphone=False) is None
    bench.say("/long 6")
    bench.wait_state("speaking")
    wait_for("words", lambda: _words(bench))
    stopped_ms = bench.page.evaluate(STOP)
    bench.wait_state("listening")
    wait_for("the end of the turn", lambda: _turns(service)[0]["turn_complete_ms"], 60)
    bench.page.wait_for_timeout(1200)
    stopped = _words(bench)[0]
    for pace in ("jitter", "pace"):
        service.standin.control.scenario(pace, off=True)
    bench.say("/tone 300 1")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    bench.page.wait_for_timeout(300)
    # Neither the caption nor the transcript has grown since, and each turn has one caption.
    spoken = _turns(service)[0]["text"]
    assert spoken.startswith(stopped)
    assert len(stopped) < len(spoken)
    assert _words(bench)[0] == stopped
    assert len(_words(bench)) == 2
    assert _words(bench)[1] == _turns(service)[1]["text"]
    recording = bench.recording()
    after = int(np.searchsorted(recording.times, stopped_ms + 1000)) * 128
    return Recording(recording.samples[after:], recording.times)


@pytest.mark.parametrize("scenario", ["late-words", "deaf"])
def test_nothing_of_a_stopped_answer_is_in_the_next(bench: Bench, service: Service, scenario: str) -> None:
    """With jitter, whether the service stops, with words that come late, or does not react at all."""
    control = service.standin.control
    control.scenario("pace", speed=1.5)
    control.scenario("jitter", max_ms=120, seed=3)
    control.scenario(scenario)
    heard = _stop_in_mid_answer(bench, service).heard()
    assert_same_sound(heard, pcm(control.sent_audio(turn=2)))
    interrupted = [turn["interrupted_ms"] is not None for turn in _turns(service)]
    assert interrupted == [scenario == "late-words", False]
    bench.end()


def _median_silent_after_ms(bench: Bench) -> float:
    after: list[float] = []
    for _ in range(5):
        bench.say("/tone 200 30")
        bench.wait_state("speaking")
        bench.page.wait_for_timeout(400)
        at = bench.page.evaluate(STOP)
        bench.wait_state("listening")
        bench.page.wait_for_timeout(250)
        after.append(bench.recording().silent_from(at) - at)
    return statistics.median(after)


@pytest.mark.measured
def test_interrupt_is_silent_within_the_promised_time(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    assert_at_most(SILENT_WITHIN_MS, lambda: _median_silent_after_ms(bench))
    assert float(np.abs(np.diff(bench.recording().samples)).max()) <= LARGEST_STEP


@pytest.mark.parametrize("scenario", ["", "usage-cumulative", "usage-per-message"])
def test_tokens_equal_the_services_own(bench: Bench, service: Service, scenario: str) -> None:
    control = service.standin.control
    if scenario:
        control.scenario(scenario, seconds=0.3)
    assert bench.start(microphone=False) is None
    for number, line in enumerate(["/tone 300 1", "/thought Hm."], 1):
        bench.say(line)
        wait_for("the turn", partial(_counted_turn, service, number))
        bench.wait_state("listening")
    own = [turn["tokens"] for turn in _turns(service)]
    usage = wait_for("the counts", lambda: _counted(bench, sum(turn["totalTokenCount"] for turn in own)))
    assert usage["reading"] == (scenario.removeprefix("usage-") or "single")
    total = usage["total"]
    assert total["input"] == sum(turn["promptTokenCount"] for turn in own)
    assert total["inputBy"] == _by_modality(own, "promptTokensDetails")
    assert total["output"] == sum(turn["responseTokenCount"] for turn in own)
    assert total["outputBy"] == _by_modality(own, "responseTokensDetails")
    assert total["thoughts"] == sum(turn.get("thoughtsTokenCount", 0) for turn in own) > 0
    assert usage["turn"]["input"] == own[-1]["promptTokenCount"]
    bench.end()


def _counted_turn(service: Service, number: int) -> bool:
    turns = _turns(service)
    return len(turns) == number and turns[-1]["tokens"] is not None


def _counted(bench: Bench, total: int) -> dict[str, Any] | None:
    usage: dict[str, Any] | None = bench.diagnostics()["usage"]
    return usage if usage and usage["total"]["total"] == total else None


def _by_modality(counts: list[dict[str, Any]], key: str) -> dict[str, int]:
    by: dict[str, int] = {}
    for details in counts:
        for detail in details[key]:
            name = detail["modality"].lower()
            by[name] = by.get(name, 0) + detail["tokenCount"]
    return by


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_page_stops_the_answer(open_stage: OpenStage, service: Service, how: str) -> None:
    demo = open_stage(Demo)
    demo.open()
    demo.type("/tone 300 30")
    demo.wait_state("speaking")
    if how == "button":
        demo.page.click("#interrupt")
    else:
        demo.page.keyboard.press("Escape")
    demo.wait_state("listening")
    demo.page.wait_for_selector("#interrupt", state="hidden")
    wait_for("the interruption", lambda: _turns(service)[0]["interrupted_ms"])
    assert not demo.faults


def test_escape_closes_a_panel_before_it_stops_an_answer(open_stage: OpenStage, service: Service) -> None:
    demo = open_stage(Demo)
    demo.open()
    demo.type("/tone 300 30")
    demo.wait_state("speaking")
    demo.page.click("#settings summary")
    demo.page.keyboard.press("Escape")
    assert demo.page.get_attribute("#settings", "open") is None
    assert demo.state() == "speaking"
    demo.page.keyboard.press("Escape")
    demo.wait_state("listening")
