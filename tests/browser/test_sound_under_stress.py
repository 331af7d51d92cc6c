"""Sound that arrives late, in lumps, or at a busy page: what is heard, and when."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import OpenStage, Service
from tests.browser.support import BLOCK, NO_WORKER, Bench, Samples, assert_at_most, pcm

pytestmark = [pytest.mark.measured, pytest.mark.long]

RAMP_SAMPLES = 121  # 5 ms, and what is lost by rounding


def _changed(heard: Samples, sent: Samples) -> int:
    """The number of samples that differ from the sent ones, not counting one hole."""
    loud = np.flatnonzero(sent)
    part = sent[loud[0] : loud[-1] + 1]
    length = len(part)
    assert len(heard) >= length, "something is missing"
    differ = np.flatnonzero(heard[:length] != part), np.flatnonzero(heard[::-1][:length] != part[::-1])
    return max(0, length - sum(int(at[0]) if at.size else length for at in differ))


def _hear(bench: Bench, service: Service, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Runs a conversation with one answer. Returns how many of its samples changed."""
    from_sample = len(bench.recording().samples)
    assert bench.start(microphone=False) is None
    bench.say("/tone 300 4")
    bench.wait_state("speaking")
    meanwhile()
    bench.wait_state("listening")
    bench.page.wait_for_timeout(300)
    heard = np.trim_zeros(bench.recording().samples[from_sample:])
    sent = pcm(service.standin.control.sent_audio(turn=1))
    print(f"{bench.diagnostics()['playback']['underruns']} underruns,", end=" ")
    bench.end()
    return _changed(heard, sent)


def _be_busy(bench: Bench) -> None:
    for _ in range(3):
        bench.page.evaluate(BLOCK, 300)
        bench.page.wait_for_timeout(200)


def test_blocked_main_thread_does_not_change_an_answer(bench: Bench, service: Service) -> None:
    """The thread is blocked for 300 ms, three times, while sound arrives slightly faster than it plays."""
    service.standin.control.scenario("pace", speed=1.5)
    assert_at_most(0, lambda: _hear(bench, service, lambda: _be_busy(bench)))
    assert bench.diagnostics()["network"] == "worker"


def test_blocked_main_thread_without_workers_changes_an_answer(
    open_stage: OpenStage, service: Service
) -> None:
    """This shows that the previous test can fail."""
    service.standin.control.scenario("pace", speed=1.5)
    bench = open_stage(Bench, None, NO_WORKER)
    bench.open(service.broker.bearer())
    assert _hear(bench, service, lambda: _be_busy(bench)) > 0
    assert bench.diagnostics()["network"] == "main"


@pytest.mark.parametrize("seed", [2, 3])
def test_late_chunks_make_at_most_one_hole(bench: Bench, service: Service, seed: int) -> None:
    """Chunks of 40 ms at the pace of speech, each up to 120 ms late, on two such networks.

    The rest is as it was sent, but for the ramp before the hole and the one after it.
    """
    service.standin.control.scenario("pace", speed=1)
    service.standin.control.scenario("big-chunks", ms=40)
    service.standin.control.scenario("jitter", max_ms=120, seed=seed)
    assert_at_most(2 * RAMP_SAMPLES, lambda: _hear(bench, service))
    assert bench.diagnostics()["playback"]["underruns"] <= 1


def _receipt_to_sound(bench: Bench) -> int:
    """Measured in a new conversation, because earlier late chunks would lengthen the queue."""
    assert bench.start(microphone=False) is None
    bench.say("/tone 200 0.5")
    bench.wait_state("speaking")
    bench.wait_state("listening")
    milliseconds = int(bench.diagnostics()["turns"]["receiptToSoundMs"])
    bench.end()
    return milliseconds


@pytest.mark.parametrize(("scenario", "options", "limit"), [("pace", {"speed": 1}, 70), ("burst", {}, 20)])
def test_first_chunk_is_heard_soon(
    bench: Bench, service: Service, scenario: str, options: dict[str, Any], limit: int
) -> None:
    service.standin.control.scenario(scenario, **options)
    assert_at_most(limit, lambda: statistics.median(_receipt_to_sound(bench) for _ in range(5)))
