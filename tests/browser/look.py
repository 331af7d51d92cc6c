"""Looks at the demo page in one state: rules of accessibility, windows, forced colours, screenshots."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.demo_page import DESKTOP, PHONE, DemoPage
from tests.browser.support import wait_for

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
SIZES = {"desktop": DESKTOP, "phone": PHONE}
# 320 x 256 is a desktop window at 400 % zoom, 740 x 360 a phone in landscape. They are the hardest to fit.
HARDEST = [(320, 256), (740, 360)]
OTHERS = [(320, 640), (390, 844), (768, 1024), (1280, 800), (1920, 1080)]
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
        """In full, or in the hardest windows and one of the others, by turns."""
        page, found = self._demo.page, []
        others = OTHERS if self._in_full else [OTHERS[len(self.taken) % len(OTHERS)]]
        for width, height in (*HARDEST, *others):
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
