"""Everyday habits on the demo page: double clicks, typing ahead, several users on one device."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.demo_page import DemoPage, Site, Visits, script
from tests.browser.support import wait_for


def slow_down(demo: DemoPage, address: str | re.Pattern[str], milliseconds: int) -> None:
    def go_on(route: Route) -> None:
        demo.page.wait_for_timeout(milliseconds)
        route.continue_()

    demo.page.route(address, go_on)


def start_with_push_to_talk(demo: DemoPage) -> Locator:
    """Starts a spoken conversation. Returns the button to hold."""
    demo.enter()
    demo.page.click("#settings summary")
    demo.page.check("#push-mode")
    demo.page.keyboard.press("Escape")
    demo.start()
    push = demo.page.locator("#push")
    expect(push).to_be_visible()

    def responds() -> bool:
        demo.page.keyboard.down("Space")
        pressed = push.get_attribute("data-pressed") is not None
        demo.page.keyboard.up("Space")
        return pressed

    wait_for("push-to-talk, which the first start loads", responds)
    return push


def test_next_user_sees_nothing_of_the_previous_one(demo: DemoPage) -> None:
    demo.enter()
    demo.say("Between you and me")
    demo.caption("model", "You wrote: Between you and me")
    demo.page.click("#record")
    expect(demo.page.locator("#transcript-status")).to_have_text("Recording on this device")
    demo.page.fill("#message", "a draft")
    demo.page.click("#sign-out")
    expect(demo.page.locator("#sign-in")).to_be_visible()
    demo.sign_in("dora")
    demo.expect_state("idle")
    expect(demo.page.locator("#message")).to_have_value("")
    expect(demo.captions.locator("li")).to_have_count(0)
    expect(demo.page.locator("#save-text")).to_be_hidden()
    expect(demo.page.locator("#record")).to_have_text("Record")


def test_next_user_sees_nothing_after_a_revoked_sign_in(demo: DemoPage) -> None:
    demo.enter()
    demo.say("Between you and me")
    demo.caption("model", "You wrote: Between you and me")
    demo.page.click("#end")
    demo.page.context.clear_cookies()
    demo.talk.click()
    expect(demo.page.locator("#sign-in")).to_be_visible()
    demo.sign_in("dora")
    demo.expect_state("idle")
    expect(demo.captions.locator("li")).to_have_count(0)


def test_sign_out_works_while_the_broker_hangs(demo: DemoPage) -> None:
    demo.enter()
    demo.start()
    demo.page.route("**/sessions/*/end", lambda _route: None)
    demo.page.click("#sign-out")
    expect(demo.page.locator("#sign-in")).to_be_visible(timeout=40_000)
    assert demo.page.evaluate("fetch('/me').then(({ status }) => status)") == 401


def test_double_click_on_camera_turns_it_off_without_an_error(demo: DemoPage) -> None:
    demo.enter()
    demo.start()
    camera = demo.page.locator("#camera")
    camera.click()
    expect(demo.page.locator("#preview")).to_be_visible()
    camera.click()
    expect(demo.page.locator("#preview")).to_be_hidden()
    camera.dblclick()
    demo.page.wait_for_timeout(1000)
    expect(demo.page.locator("#preview")).to_be_hidden()
    expect(camera).to_have_attribute("aria-pressed", "false")
    expect(demo.notice).to_be_hidden()


def test_ending_while_the_camera_starts_is_no_error(demo: DemoPage) -> None:
    demo.enter()
    demo.start()
    slow_down(demo, script("camera"), 1000)
    demo.page.click("#camera")
    demo.talk.click()
    demo.expect_state("ended", "idle")
    demo.page.wait_for_timeout(1500)
    expect(demo.notice).to_be_hidden()


def test_space_bar_talks_and_does_not_end_the_conversation(demo: DemoPage) -> None:
    push = start_with_push_to_talk(demo)
    for _ in range(2):
        demo.page.keyboard.down("Space")
        expect(push).to_have_attribute("data-pressed", "")
        demo.page.keyboard.up("Space")
        expect(push).not_to_have_attribute("data-pressed", "")
        demo.expect_state("listening", "thinking", "speaking")
        demo.page.focus("#settings summary")  # has the focus after the panel closes


def test_push_to_talk_is_released_in_the_next_conversation(demo: DemoPage) -> None:
    push = start_with_push_to_talk(demo)
    demo.page.keyboard.down("Space")
    expect(push).to_have_text("Listening…")
    demo.page.evaluate("document.querySelector('#talk').click()")
    demo.expect_state("ended")
    demo.page.keyboard.up("Space")
    demo.start()
    expect(push).to_have_text("Hold to talk")


def test_messages_typed_ahead_are_sent_once_and_in_order(demo: DemoPage, site: Site) -> None:
    demo.enter()
    site.standin.control.scenario("mint-slow", seconds=1.0)
    message = demo.page.locator("#message")
    message.fill("First")
    message.press("Enter")
    message.press("Enter")
    message.fill("Second")
    message.press("Enter")
    message.fill("not yet")
    demo.caption("user", "Second")
    said = demo.captions.locator("[data-role=user] .words")
    wait_for("both", lambda: said.count() == 2)
    assert said.all_inner_texts() == ["First", "Second"]
    expect(message).to_have_value("not yet")


def test_typed_conversation_continues_after_ending_another_one(visit: Visits, site: Site) -> None:
    """A double click starts one conversation, and the microphone stays off."""
    first, second = visit(site.broker.url), visit(site.broker.url)
    for demo in (first, second):
        demo.enter("single")
    first.start()
    second.say("Hello there")
    second.expect_notice("too-many-sessions")
    second.page.locator("#notice-actions button").filter(has_text="End the conversation").dblclick()
    second.caption("model", "You wrote: Hello there")
    expect(second.status).to_have_text("Connected")
    second.say("And again")
    second.caption("model", "You wrote: And again")


def test_switch_to_voice_waits_for_the_place_of_the_typed_conversation(visit: Visits, site: Site) -> None:
    demo = visit(site.broker.url)
    demo.enter("single")
    demo.say("Hello there")
    demo.caption("model", "You wrote: Hello there")
    slow_down(demo, "**/sessions/*/end", 500)
    demo.talk.click()
    demo.expect_state("listening")
    expect(demo.status).to_have_text("Listening")
    expect(demo.notice).to_be_hidden()


def test_missing_recorder_is_shown(demo: DemoPage) -> None:
    demo.page.route(script("recorder-worker"), lambda route: route.abort())
    demo.enter()
    demo.start()
    demo.page.click("#record")
    expect(demo.page.locator("#record")).to_have_text("Stop and save")
    demo.page.wait_for_timeout(500)
    demo.page.click("#record")
    expect(demo.page.locator("#transcript-status")).to_contain_text("The recorder failed")
    demo.faults.clear()  # the browser logs the missing script too


def test_missing_device_list_is_shown_and_loads_again(demo: DemoPage) -> None:
    demo.enter()
    demo.page.route(script("devices"), lambda route: route.abort())
    demo.page.click("#settings summary")
    demo.expect_notice("panel-missing")
    demo.page.unroute(script("devices"))
    demo.page.click("#settings summary")
    expect(demo.page.locator("#microphone option").first).to_be_attached()


@pytest.mark.parametrize("width", [500, 560, 640, 680, 760])
def test_settings_fit_a_narrow_window(visit: Visits, site: Site, width: int) -> None:
    demo = visit(site.broker.url, viewport={"width": width, "height": 900})
    demo.enter()
    for _ in range(2):
        demo.page.click("#settings summary")
        box = demo.page.locator("#settings-panel").bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        demo.page.keyboard.press("Escape")
        assert demo.overflow() <= 0
        if demo.status.get_attribute("data-state") == "idle":
            demo.start()
