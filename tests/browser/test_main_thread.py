"""The share of the page's main thread that a conversation takes.

The model speaks, captions appear, and a voice is sent.

The browser reports the processor time of the thread's tasks, so other load on the machine does not matter.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import LaunchBrowser, Service
from tests.browser.support import assert_at_most, wait_for, write_wav
from tests.support.servers import PASSWORD

pytestmark = pytest.mark.long

MOST = 0.03
LOOP = "() => { let x = 0; for (let i = 0; i < 3e7; i += 1) x = (x * 31 + i) | 0; return x; }"
REFERENCE_SECONDS = 0.16  # the loop's time on a machine where a conversation takes just under 3 %
WINDOWS = 5
WINDOW_SECONDS = 2
LINE = "/long 60"


def _library(page: Page, service: Service) -> str:
    """The library alone."""
    page.goto(f"{service.broker.url}/bench/bench.html")
    page.wait_for_function("globalThis.bench")
    page.evaluate("options => bench.make(options)", {"bearer": service.broker.bearer(), "keep": []})
    page.click("#go")
    assert page.evaluate("bench.going") is None
    page.evaluate("line => bench.session.sendText(line)", LINE)
    return "bench.session.state"


def _demo(page: Page, service: Service) -> str:
    """The demo page: captions, the ring of both levels, the clock."""
    page.goto(service.broker.url)
    page.fill("#username", "demo")
    page.fill("#password", PASSWORD)
    page.click("#sign-in button[type=submit]")
    page.wait_for_selector("#status[data-state=idle]")
    page.click("#talk")
    page.wait_for_selector("#status[data-state=listening]")
    page.fill("#message", LINE)
    page.press("#message", "Enter")
    return "document.querySelector('#status').dataset.state"


class MainThread:
    def __init__(self, page: Page) -> None:
        self._page = page
        self._cdp = page.context.new_cdp_session(page)
        self._cdp.send("Performance.enable", {"timeDomain": "threadTicks"})

    def share(self, seconds: float) -> float:
        """The share of one processor over this time."""
        before = self._metrics()
        self._page.wait_for_timeout(seconds * 1000)
        after = self._metrics()
        used, passed = (after[name] - before[name] for name in ("TaskDuration", "Timestamp"))
        return used / passed

    def slowness(self) -> float:
        """How much slower this machine is than the reference machine. At least 1.

        A loop in the same thread is the measure, because a share of time depends on the processor.
        """
        seconds = []
        for _ in range(4):  # the first run compiles the loop
            before = self._metrics()["TaskDuration"]
            self._page.evaluate(LOOP)
            seconds.append(self._metrics()["TaskDuration"] - before)
        return max(1.0, min(seconds) / REFERENCE_SECONDS)

    def _metrics(self) -> dict[str, float]:
        metrics = self._cdp.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: float(metric["value"]) for metric in metrics}


@pytest.mark.parametrize("open_page", [_library, _demo], ids=["library", "page"])
def test_talk_takes_less_than_3_percent_of_the_main_thread(
    launch_browser: LaunchBrowser, service: Service, tmp_path: Path, open_page: Callable[[Page, Service], str]
) -> None:
    # A faint voice: sent and shown, but too soft to interrupt.
    faint = 0.004 * np.random.default_rng(1).uniform(-1, 1, 48000 * 60)
    page = launch_browser(write_wav(tmp_path / "faint.wav", faint)).new_page()
    state = open_page(page, service)
    wait_for("the answer", lambda: page.evaluate(state) == "speaking")
    page.wait_for_timeout(4000)  # the first seconds compile the code
    thread = MainThread(page)

    def share() -> float:
        chunks = service.standin.control.received()["connections"][-1]["audio_frames"]
        median = statistics.median(thread.share(WINDOW_SECONDS) for _ in range(WINDOWS))
        spoken = service.standin.control.received()["connections"][-1]["audio_frames"] - chunks
        assert spoken * 0.02 > WINDOWS * WINDOW_SECONDS * 0.9
        assert page.evaluate(state) == "speaking"
        return median / thread.slowness()

    assert_at_most(MOST, share)
