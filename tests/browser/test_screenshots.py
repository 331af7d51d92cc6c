"""Pictures of the demo page in each state, for people to look at: `tests/artifacts/page-…png`.

A picture proves nothing by itself, so each is taken only once the page is in the state that its name says.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect

from tests.browser.demo_page import DESKTOP, PHONE, DemoPage, Site, Visits, site, visits
from tests.browser.support import launch, speak, wait_for
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
SIZES = {"desktop": DESKTOP, "phone": PHONE}
SENTENCE = "Good morning. How long does it take to get to the mountains by train?"


@pytest.fixture(scope="module")
def started(make_broker: MakeBroker) -> Iterator[Site]:
    with site(make_broker) as running:
        yield running


@pytest.fixture(scope="module")
def strict(started: Site, make_broker: MakeBroker) -> BrokerServer:
    """A broker that gives one token a minute."""
    broker = make_broker(started.standin.url, rate="1/minute")
    for size in SIZES:
        for scheme in ("light", "dark"):
            broker.add_user(f"{size}-{scheme}")
    return broker


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speak(tmp_path_factory.mktemp("voice"), SENTENCE)


@pytest.fixture
def talker(playwright: Playwright, spoken: Path) -> Iterator[Browser]:
    """Chromium with somebody in front of its microphone who says the sentence once."""
    running = launch(playwright, spoken)
    yield running
    running.close()


@pytest.fixture
def visit(talker: Browser) -> Iterator[Visits]:
    with visits(talker) as opening:
        yield opening


class Album:
    """Takes the pictures of one size and colour scheme."""

    def __init__(self, name: str, demo: DemoPage) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self._name = name
        self._demo = demo
        self.taken: list[str] = []

    def take(self, name: str, state: str, demo: DemoPage | None = None) -> None:
        page = (demo or self._demo).page
        path = ARTIFACTS / f"page-{self._name}-{name}.png"
        expect(page.locator("#status")).to_have_attribute("data-state", state)
        page.screenshot(path=path, animations="disabled")
        expect(page.locator("#status")).to_have_attribute("data-state", state)
        width, height = struct.unpack(">II", path.read_bytes()[16:24])
        viewport = page.viewport_size
        assert viewport is not None
        assert (width, height) == (viewport["width"], viewport["height"])
        self.taken.append(name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_every_state_has_its_picture(
    visit: Visits, started: Site, strict: BrokerServer, size: str, scheme: str
) -> None:
    control = started.standin.control
    control.reset()
    options: dict[str, Any] = {"viewport": SIZES[size], "color_scheme": scheme}
    demo = visit(started.broker.url, **options)
    album = Album(f"{size}-{scheme}", demo)

    demo.visit()
    album.take("signed-out", "signed-out")
    demo.sign_in(password="wrong")
    expect(demo.page.locator("#sign-in-error")).not_to_be_empty()
    album.take("wrong-password", "signed-out")
    demo.sign_in()
    demo.expect_state("idle")
    album.take("idle", "idle")

    control.scenario("setup-hang")
    demo.talk.click()
    demo.expect_state("connecting")
    wait_for("the button to look like it", lambda: demo.talk.inner_text().strip() == "Cancel")
    album.take("connecting", "connecting")

    # First out of it, then off: the other way round the conversation could begin in between.
    demo.talk.click()
    demo.expect_state("idle")
    control.scenario("setup-hang", off=True)
    demo.start()
    wait_for("the voice to be seen", lambda: demo.ring_reach() > 1000)
    album.take("listening", "listening")
    demo.expect_state("speaking")
    demo.caption("model", "You said something")
    wait_for("the voice to be seen", lambda: demo.ring_reach() > 1000)
    album.take("speaking", "speaking")

    demo.page.click("#settings summary")
    expect(demo.page.locator("#keep")).to_be_visible()
    demo.page.screenshot(path=ARTIFACTS / f"page-{size}-{scheme}-settings.png", animations="disabled")
    demo.page.check("#push-mode")
    demo.page.keyboard.press("Escape")
    demo.say("/tool get_time {}")
    expect(demo.page.locator("[data-tool=done]")).to_be_visible(timeout=15_000)
    demo.caption("model", '"timeZone"')  # the end of the answer: nothing is said after it
    demo.expect_state("listening")
    demo.page.click("#camera")
    expect(demo.page.locator("#preview")).to_be_visible()
    expect(demo.page.locator("#push")).to_be_visible()
    album.take("push-to-talk-and-camera", "listening")

    control.push(close="quota")
    demo.expect_notice("connection-refused")
    wait_for("the ring to rest", lambda: demo.ring_reach() == 0)
    album.take("connection-refused", "error")

    demo.page.reload()
    demo.expect_state("idle")
    control.scenario("mint-status", status=500, times=1)
    demo.talk.click()
    demo.expect_notice("upstream-error")
    album.take("upstream-error", "error")

    limited = visit(strict.url, **options)
    limited.visit()
    limited.sign_in(f"{size}-{scheme}")
    limited.expect_state("idle")
    limited.start()
    limited.talk.click()
    limited.expect_state("ended")
    limited.talk.click()
    limited.expect_notice("rate-limited")
    album.take("rate-limited", "error", limited)

    assert len(set(album.taken)) == 10
