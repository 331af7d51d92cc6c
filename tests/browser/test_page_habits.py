"""What people do without thinking: press twice, write ahead, leave the page to somebody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.demo_page import DemoPage, Site, Visits, site
from tests.browser.support import wait_for
from tests.conftest import MakeBroker

ONE_AT_A_TIME = """
[plans.single]
rate = "100/minute"
sessions = 1
minutes_per_day = 600
session_minutes = 30
"""


@pytest.fixture(scope="module")
def started(make_broker: MakeBroker) -> Iterator[Site]:
    with site(make_broker) as running:
        running.broker.add_user("dora")
        yield running


@pytest.fixture
def service(started: Site) -> Site:
    started.standin.control.reset()
    return started


def slow_down(demo: DemoPage, address: str, milliseconds: int) -> None:
    def go_on(route: Route) -> None:
        demo.page.wait_for_timeout(milliseconds)
        route.continue_()

    demo.page.route(address, go_on)


def start_with_push_to_talk(demo: DemoPage) -> Locator:
    """Into a spoken conversation; returns the button to hold."""
    demo.enter()
    demo.page.click("#settings summary")
    demo.page.check("#push-mode")
    demo.page.keyboard.press("Escape")
    demo.start()
    return demo.page.locator("#push")


def test_who_comes_next_finds_nothing_of_the_one_before(demo: DemoPage) -> None:
    demo.enter()
    demo.say("Between you and me")
    demo.caption("model", "You wrote: Between you and me")
    demo.page.click("#settings summary")
    demo.page.click("#record")
    expect(demo.page.locator("#settings-status")).to_have_text("Recording on this device")
    demo.page.keyboard.press("Escape")
    demo.page.fill("#message", "a draft")
    demo.page.click("#sign-out")
    expect(demo.page.locator("#sign-in")).to_be_visible()
    demo.sign_in("dora")
    demo.expect_state("idle")
    expect(demo.page.locator("#message")).to_have_value("")
    expect(demo.captions.locator("li")).to_have_count(0)
    demo.page.click("#settings summary")
    expect(demo.page.locator("#nothing-said")).to_be_visible()
    expect(demo.page.locator("#record")).to_have_text("Record")


def test_nor_where_the_sign_in_was_ended_elsewhere(demo: DemoPage) -> None:
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


def test_a_broker_that_hangs_keeps_nobody_signed_in(demo: DemoPage) -> None:
    demo.enter()
    demo.start()
    demo.page.route("**/sessions/*/end", lambda _route: None)
    demo.page.click("#sign-out")
    expect(demo.page.locator("#sign-in")).to_be_visible(timeout=15_000)
    assert demo.page.evaluate("fetch('/me').then(({ status }) => status)") == 401


def test_a_camera_that_is_pressed_twice_is_off_and_no_fault(demo: DemoPage) -> None:
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


def test_a_camera_that_is_still_coming_when_the_conversation_ends_is_no_fault(demo: DemoPage) -> None:
    demo.enter()
    demo.start()
    slow_down(demo, "**/live/camera.js", 1000)
    demo.page.click("#camera")
    demo.talk.click()
    demo.expect_state("ended", "idle")
    demo.page.wait_for_timeout(1500)
    expect(demo.notice).to_be_hidden()


def test_the_space_bar_is_held_to_talk_and_does_not_end_what_talk_began(demo: DemoPage) -> None:
    push = start_with_push_to_talk(demo)
    for _ in range(2):
        demo.page.keyboard.down("Space")
        expect(push).to_have_attribute("data-pressed", "")
        demo.page.keyboard.up("Space")
        expect(push).not_to_have_attribute("data-pressed", "")
        demo.expect_state("listening", "thinking", "speaking")
        demo.page.focus("#settings summary")  # where the focus is when one has come from the panel


def test_what_is_held_when_a_conversation_ends_is_not_held_in_the_next(demo: DemoPage) -> None:
    push = start_with_push_to_talk(demo)
    demo.page.keyboard.down("Space")
    expect(push).to_have_text("Listening…")
    demo.page.evaluate("document.querySelector('#talk').click()")
    demo.expect_state("ended")
    demo.page.keyboard.up("Space")
    demo.start()
    expect(push).to_have_text("Hold to talk")


def test_what_is_written_ahead_is_sent_once_and_in_order(demo: DemoPage, service: Site) -> None:
    demo.enter()
    service.standin.control.scenario("mint-slow", seconds=1.0)
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


def test_whoever_writes_and_makes_room_goes_on_writing(
    visit: Visits, service: Site, make_broker: MakeBroker
) -> None:
    """Pressed twice: one conversation, and the microphone stays off."""
    broker = make_broker(service.standin.url, toml=ONE_AT_A_TIME)
    broker.add_user("demo", plan="single")
    first, second = visit(broker.url), visit(broker.url)
    for demo in (first, second):
        demo.enter()
    first.start()
    second.say("Hello there")
    second.expect_notice("too-many-sessions")
    second.page.locator("#notice-actions button").filter(has_text="End the conversation").dblclick()
    second.caption("model", "You wrote: Hello there")
    expect(second.status).to_have_text("Connected")
    second.say("And again")
    second.caption("model", "You wrote: And again")


def test_whoever_goes_over_to_speaking_is_not_refused_for_the_place_of_their_own(
    visit: Visits, service: Site, make_broker: MakeBroker
) -> None:
    broker = make_broker(service.standin.url, toml=ONE_AT_A_TIME)
    broker.add_user("demo", plan="single")
    demo = visit(broker.url)
    demo.enter()
    demo.say("Hello there")
    demo.caption("model", "You wrote: Hello there")
    slow_down(demo, "**/sessions/*/end", 500)
    demo.talk.click()
    demo.expect_state("listening")
    expect(demo.status).to_have_text("Listening")
    expect(demo.notice).to_be_hidden()


def test_a_recorder_that_does_not_come_is_told(demo: DemoPage) -> None:
    demo.page.route("**/live/recorder-worker.js", lambda route: route.abort())
    demo.enter()
    demo.start()
    demo.page.click("#settings summary")
    demo.page.click("#record")
    expect(demo.page.locator("#record")).to_have_text("Stop and save")
    demo.page.wait_for_timeout(500)
    demo.page.click("#record")
    expect(demo.page.locator("#settings-status")).to_contain_text("The recorder failed")
    demo.faults.clear()  # the browser tells of the script, too


def test_a_list_of_devices_that_does_not_come_is_told(demo: DemoPage) -> None:
    demo.enter()
    demo.page.route("**/live/devices.js", lambda route: route.abort())
    demo.page.click("#settings summary")
    demo.expect_notice("panel-missing")
    demo.page.unroute("**/live/devices.js")
    demo.page.click("#settings summary")
    expect(demo.page.locator("#microphone option").first).to_be_attached()


@pytest.mark.parametrize("width", [500, 560, 640, 680, 760])
def test_the_settings_are_whole_in_a_narrow_window(visit: Visits, service: Site, width: int) -> None:
    demo = visit(service.broker.url, viewport={"width": width, "height": 900})
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
