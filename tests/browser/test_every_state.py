"""The demo page in every state that it can show.

In each state it breaks no rule of WCAG 2.2 AA, fits the window, and loses nothing in forced colours. The form
for a release tries every window size in each state, and takes screenshots, `tests/artifacts/page-….png`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect

from tests.browser.demo_page import DemoPage, Site, Visits, visits
from tests.browser.look import Look
from tests.browser.support import launch, speak, wait_for

SENTENCE = "Good morning. How long does it take to get to the mountains by train, and is there snow already?"
ANSWER = (
    "/thought About two hours, with one change. The first train leaves at ten past six, and from then on "
    "there is one every hour. Above a thousand metres there is snow, and more is expected at the weekend. "
    "Take the left side of the train, for the view of the lake, and something warm to drink."
)


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


@pytest.mark.parametrize(
    "in_full",
    [
        pytest.param(False, id="few windows"),
        pytest.param(True, id="all forms", marks=pytest.mark.release),
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
    demo.talk.click()
    demo.expect_notice("offline")
    look("offline", "error")
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
