"""The demo page for everyone: keyboard, screen reader, small windows and touch."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.demo_page import PHONE, DemoPage, Site, Visits
from tests.browser.support import wait_for


def test_page_works_with_the_keyboard_alone(demo: DemoPage) -> None:
    demo.visit()
    keys = demo.page.keyboard
    expect(demo.page.locator("#username")).to_be_focused()
    keys.type("demo")
    keys.press("Tab")
    keys.type("correct horse battery")
    keys.press("Enter")
    demo.expect_state("idle")
    expect(demo.talk).to_be_focused()
    keys.press("Space")
    demo.expect_state("listening")
    _tab_to(demo.page, "#mute")
    keys.press("Enter")
    expect(demo.page.locator("#mute")).to_have_accessible_name("Unmute")
    _tab_to(demo.page, "#volume")
    keys.press("ArrowLeft")
    assert demo.page.locator("#volume").input_value() == "99"
    _tab_to(demo.page, "#message")
    keys.type("Hello")
    keys.press("Enter")
    demo.caption("model", "You wrote: Hello")
    _tab_to(demo.page, "#diagnostics > summary", "Shift+Tab")
    keys.press("Enter")
    expect(demo.page.get_by_text("Answer delay")).to_be_visible()
    keys.press("Escape")
    expect(demo.page.get_by_text("Answer delay")).to_be_hidden()
    _tab_to(demo.page, "#talk")
    keys.press("Enter")
    demo.expect_state("ended")
    _tab_to(demo.page, "#sign-out", "Shift+Tab")
    keys.press("Enter")
    demo.expect_state("signed-out")


def _tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Presses the key until this element has the focus, and checks that the focus is visible."""
    for _ in range(30):
        page.keyboard.press(key)
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            shown = "getComputedStyle(document.activeElement.closest('#compose') ?? document.activeElement)"
            assert page.evaluate(f"{shown}.outlineStyle") == "solid"
            return
    raise AssertionError(f"{key} does not lead to {selector}")


def test_screen_reader_gets_finished_sentences_only(demo: DemoPage) -> None:
    demo.enter()
    demo.page.evaluate(
        """() => {
            globalThis.heard = [];
            const words = ({ addedNodes }) => [...addedNodes].map((node) => node.textContent);
            const hear = (changes) => heard.push(...changes.flatMap(words));
            const all = { childList: true, subtree: true, characterData: true };
            new MutationObserver(hear).observe(document.getElementById('announcer'), all);
        }"""
    )
    demo.say("/thought This is the first. And this is the second one")
    demo.caption("model", "And this is the second one")
    demo.expect_state("listening")
    wait_for("the last sentence", lambda: len(demo.page.evaluate("heard")) >= 3)
    spoken = demo.page.evaluate("heard")
    assert spoken == ["Connected. Go ahead.", "This is the first.", "And this is the second one"]
    expect(demo.captions.locator("xpath=ancestor-or-self::*[@aria-live]")).to_have_count(0)


def test_all_controls_are_reachable_in_a_window_of_320_by_256(visit: Visits, site: Site) -> None:
    """A desktop window at 400 % zoom, and a word that cannot be broken."""
    demo = visit(site.broker.url, viewport={"width": 320, "height": 256})
    demo.enter()
    demo.start()
    demo.page.click("#mute")  # or the microphone's beeps would interrupt
    demo.say("A " + "very" * 40 + " long word")
    demo.caption("user", "long word")
    demo.page.click("#settings summary")
    wish = demo.page.locator(".check span").first.bounding_box()
    assert wish is not None
    assert wish["width"] > 100
    demo.page.keyboard.press("Escape")
    site.standin.control.push(close="quota")
    demo.expect_notice("connection-refused")
    assert demo.overflow() <= 0
    for selector in ("#talk", "#notice button", "#send"):
        demo.page.locator(selector).first.scroll_into_view_if_needed()
        expect(demo.page.locator(selector).first).to_be_in_viewport()


def test_touch_targets_are_at_least_24_pixels(visit: Visits, site: Site) -> None:
    demo = visit(site.broker.url, viewport=PHONE)
    demo.enter()
    demo.start()
    sizes = demo.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, summary')]
            .map((element) => [element.id || element.textContent, element.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0)
            .map(([name, box]) => [name, Math.min(box.width, box.height)])"""
    )
    assert len(sizes) > 6
    assert [entry for entry in sizes if entry[1] < 24] == []
