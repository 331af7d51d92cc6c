"""The demo page in every state that it can show.

In each state it breaks no rule of WCAG 2.2 AA, fits the window, and loses nothing in forced colours. The long
form also tries every window size and takes screenshots, `tests/artifacts/page-….png`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect

from tests.browser import axe
from tests.browser.demo_page import DESKTOP, PHONE, DemoPage, Site, Visits, visits
from tests.browser.support import launch, speak, wait_for

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
SIZES = {"desktop": DESKTOP, "phone": PHONE}
# 320 x 256 is a desktop window at 400 % zoom, 740 x 360 a phone in landscape.
FEW_WINDOWS = [(320, 256), (740, 360)]
WINDOWS = [(320, 640), (320, 256), (390, 844), (740, 360), (768, 1024), (1280, 800), (1920, 1080)]
SENTENCE = "Good morning. How long does it take to get to the mountains by train, and is there snow already?"
ANSWER = (
    "/thought About two hours, with one change. The first train leaves at ten past six, and from then on "
    "there is one every hour. Above a thousand metres there is snow, and more is expected at the weekend. "
    "Take the left side of the train, for the view of the lake, and something warm to drink."
)
# Waits until a change of colours is on the screen and no animation runs.
NEXT_FRAME = """async () => {
    for (let i = 0; i < 2; i += 1) await new Promise(requestAnimationFrame);
    document.getAnimations().forEach((animation) => animation.finish());
}"""
# Controls have a border, pressed ones differ from others, the focus is visible, and the ring is drawn.
LOST_IN_FORCED_COLOURS = """() => {
    const shown = (element) => element.checkVisibility() && element.getBoundingClientRect().width > 4;
    const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
    const style = (element) => getComputedStyle(element.closest('#compose') ?? element);
    const own = '[type=checkbox], [type=radio], [type=range]';
    const drawn = `button:not(.show-password), select, input:not(${own})`;
    const bare = all(drawn)
        .map((element) => [element, style(element)])
        .filter(([, style]) => style.borderTopStyle !== 'solid' || style.borderTopWidth === '0px')
        .map(([element]) => element);
    const same = all('[aria-pressed=true], [data-pressed]')
        .filter((element) => style(element).forcedColorAdjust !== 'none');
    const gone = all('meter, #status').filter((element) => style(element).visibility !== 'visible');
    const unseen = all(':focus-visible').filter((element) => style(element).outlineStyle !== 'solid');
    const [ring] = all('#ring');
    let blank = [];
    if (ring) {
        const often = { willReadFrequently: true };
        const copy = new OffscreenCanvas(ring.width, ring.height).getContext('2d', often);
        copy.drawImage(ring, 0, 0);
        const { data } = copy.getImageData(0, 0, ring.width, ring.height);
        if (!data.some((value) => value > 0)) blank = [ring];
    }
    return [...bare, ...same, ...gone, ...unseen, ...blank]
        .map((element) => element.id || element.className || element.textContent);
}"""


@pytest.fixture
def talker(playwright: Playwright, tmp_path: Path) -> Iterator[Browser]:
    """Chromium whose microphone says the sentence once."""
    running = launch(playwright, speak(tmp_path, SENTENCE))
    yield running
    running.close()


@pytest.fixture
def visit(talker: Browser) -> Iterator[Visits]:
    with visits(talker, DemoPage) as opening:
        yield opening


class Look:
    """Checks the page in its current state. `faults` lists what is wrong, by state."""

    def __init__(self, demo: DemoPage, *, in_full: bool) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self._demo = demo
        self._in_full = in_full
        self.faults: dict[str, list[str]] = {}
        self.taken: list[str] = []

    def __call__(self, name: str, state: str, still: Callable[[], object] = lambda: True) -> None:
        """`still`: what else must hold while the screenshots are taken."""
        self.pictures(name, state, still)
        page = self._demo.page
        found = self._broken_rules() + self._off_the_screen() + self._lost_in_forced_colours(name)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        expect(page.locator("#status")).to_have_attribute("data-state", state)
        if found:
            self.faults[name] = found

    def pictures(self, name: str, state: str, still: Callable[[], object]) -> None:
        page = self._demo.page
        for scheme in ("light", "dark") if self._in_full else ("light",):
            page.emulate_media(color_scheme=scheme)
            for size, viewport in SIZES.items():
                page.set_viewport_size(viewport)  # type: ignore[arg-type]
                wait_for(f"what {name} looks like", still)
                if self._in_full:
                    self._picture(f"{size}-{scheme}-{name}", state)
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        self.taken.append(name)

    def _picture(self, name: str, state: str) -> None:
        page = self._demo.page
        path = ARTIFACTS / f"page-{name}.png"
        expect(page.locator("#status")).to_have_attribute("data-state", state)
        page.screenshot(path=path, animations="disabled")
        expect(page.locator("#status")).to_have_attribute("data-state", state)
        width, height = struct.unpack(">II", path.read_bytes()[16:24])
        assert {"width": width, "height": height} == page.viewport_size

    def _broken_rules(self) -> list[str]:
        """In full, or in the two forms by turns, because the checker takes a second each time."""
        page, found = self._demo.page, []
        forms = (("light", DESKTOP), ("dark", PHONE))
        for scheme, viewport in forms if self._in_full else (forms[len(self.taken) % 2],):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size(viewport)  # type: ignore[arg-type]
            page.evaluate(NEXT_FRAME)
            found += [f"{scheme}: {fault}" for fault in axe.violations(page)]
        return found

    def _off_the_screen(self) -> list[str]:
        page, found = self._demo.page, []
        for width, height in WINDOWS if self._in_full else FEW_WINDOWS:
            page.set_viewport_size({"width": width, "height": height})
            if self._demo.overflow() > 0:
                found.append(f"{width} x {height}: wider than the window")
        return found

    def _lost_in_forced_colours(self, name: str) -> list[str]:
        page = self._demo.page
        page.emulate_media(color_scheme="light", forced_colors="active")
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
        for _ in range(5):  # the ring is redrawn some frames later
            page.evaluate(NEXT_FRAME)
            found: list[str] = page.evaluate(LOST_IN_FORCED_COLOURS)
            if not found:
                break
        if self._in_full:
            page.screenshot(path=ARTIFACTS / f"page-forced-colours-{name}.png", animations="disabled")
        page.emulate_media(forced_colors="none")
        return [f"forced colours: {fault}" for fault in found]


@pytest.mark.parametrize(
    "in_full",
    [
        pytest.param(False, id="few windows"),
        pytest.param(True, id="all forms", marks=pytest.mark.long),
    ],
)
def test_every_state_is_accessible_and_fits_the_window(visit: Visits, site: Site, in_full: bool) -> None:
    control = site.standin.control
    # The policy forbids eval, which the accessibility checker needs, so this visit ignores the policy.
    demo = visit(site.broker.url, bypass_csp=True)
    look = Look(demo, in_full=in_full)
    page = demo.page

    demo.visit()
    look("signed-out", "signed-out")
    demo.sign_in(password="wrong")
    expect(page.locator("#sign-in-error")).not_to_be_empty()
    look("wrong-password", "signed-out")
    demo.sign_in()
    demo.expect_state("idle")
    look("idle", "idle")

    control.scenario("setup-hang")
    demo.talk.click()
    demo.expect_state("connecting")
    look("connecting", "connecting", lambda: demo.talk.inner_text().strip() == "Cancel")
    # Cancel before the scenario ends; otherwise the conversation could start in between.
    demo.talk.click()
    demo.expect_state("idle")
    control.scenario("setup-hang", off=True)

    control.scenario("mute")
    demo.start()
    look.pictures("listening", "listening", lambda: demo.ring_reach() > 500)
    wait_for("the end of the sentence", lambda: demo.ring_reach() == 0)
    page.wait_for_timeout(1000)  # speech still in transit would interrupt the answer
    control.scenario("mute", off=True)
    control.push(command=ANSWER)
    demo.caption("model", "About two hours")
    look("speaking", "speaking", lambda: demo.ring_reach() > 500)
    page.click("#mute")
    control.push(interrupt=True)
    demo.expect_state("listening")
    look("muted", "listening")
    page.click("#mute")

    page.click("#settings summary")
    wait_for("the devices", lambda: page.locator("#speaker option").count() > 1)
    look("settings", "listening", page.locator("#microphone option").first.is_enabled)
    page.select_option("#speaker", page.locator("#speaker option").last.get_attribute("value"))
    page.check("#push-mode")
    page.keyboard.press("Escape")
    look("headphones", "listening", page.locator("#hint").is_visible)
    page.get_by_role("button", name="Close").click()

    demo.say("/tool get_time {}")
    expect(page.locator("[data-tool=done]")).to_be_visible(timeout=40_000)
    demo.caption("model", '"timeZone"')  # the end of the answer
    demo.expect_state("listening")
    demo.say("/search snow in the mountains")
    expect(page.get_by_role("link", name="The first page")).to_be_visible(timeout=40_000)
    demo.expect_state("listening")
    page.click("#camera")
    page.locator("#talk").focus()
    page.locator("#push").dispatch_event("pointerdown", {"pointerId": 1})
    look("push-to-talk-and-camera", "listening", lambda: page.evaluate("preview.currentTime > 0.2"))
    page.click("#diagnostics > summary")
    look("connection", "listening", page.get_by_text("Answer delay").is_visible)
    page.keyboard.press("Escape")
    page.click("#developer summary")
    look("developer", "listening", page.get_by_text("Token granted").is_visible)
    page.keyboard.press("Escape")

    control.scenario("setup-hang")
    control.push(drop=True)
    demo.expect_state("reconnecting")
    look("reconnecting", "reconnecting")
    control.scenario("setup-hang", off=True)
    demo.talk.click()
    demo.expect_state("ended")
    look("ended", "ended")
    demo.start()
    control.push(close="quota")
    demo.expect_notice("connection-refused")
    look("connection-refused", "error", lambda: demo.ring_reach() == 0)

    page.click("#sign-out")
    demo.sign_in("once")
    demo.expect_state("idle")
    page.context.set_offline(True)
    demo.expect_notice("offline")
    look("offline", "idle")
    page.context.set_offline(False)
    demo.start()
    demo.talk.click()
    demo.expect_state("ended")
    demo.talk.click()
    demo.expect_notice("rate-limited")
    look("rate-limited", "error", page.locator("#talk-wait").is_visible)

    page.click("#sign-out")
    with site.broker.client("single") as elsewhere:
        assert elsewhere.post("/token", json={}).is_success
    demo.sign_in("single")
    demo.expect_state("idle")
    demo.talk.click()
    demo.expect_notice("too-many-sessions")
    look(
        "too-many-sessions", "error", page.get_by_role("button", name="End the conversation from").is_visible
    )

    assert look.faults == {}, "\n".join(f"{n}: {f}" for n, fs in look.faults.items() for f in fs)
    assert len(set(look.taken)) == len(look.taken)
