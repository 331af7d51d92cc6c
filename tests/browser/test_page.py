"""The demo page in a real Chromium, with a real broker and stand-in: what a person meets, good and bad."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.demo_page import PHONE, TOKEN_LIKE, DemoPage, Site, Visits, site
from tests.browser.support import FLAGS, launch, wait_for
from tests.conftest import MakeBroker

TWO_AT_A_TIME = """
[plans.double]
rate = "100/minute"
sessions = 2
minutes_per_day = 60
session_minutes = 30
"""


@pytest.fixture(scope="module")
def started(make_broker: MakeBroker) -> Iterator[Site]:
    with site(make_broker) as running:
        yield running


@pytest.fixture
def service(started: Site) -> Site:
    """As just started: no scenario, no connection."""
    started.standin.control.reset()
    return started


# ---- the door -------------------------------------------------------------------------------------------


def test_a_wrong_password_is_said_and_the_right_one_opens(demo: DemoPage) -> None:
    demo.visit()
    demo.expect_state("signed-out")
    demo.sign_in(password="wrong")
    expect(demo.page.get_by_role("alert").first).to_contain_text("do not match")
    expect(demo.page.locator("#password")).to_be_focused()
    expect(demo.talk).to_be_hidden()
    demo.sign_in()
    demo.expect_state("idle")
    expect(demo.talk).to_be_focused()


def test_an_unknown_name_and_a_wrong_password_read_the_same(demo: DemoPage) -> None:
    demo.visit()
    demo.sign_in(password="wrong")
    error = demo.page.locator("#sign-in-error")
    expect(error).not_to_be_empty()
    first = error.inner_text()
    demo.sign_in(username="nobody")
    expect(error).to_have_text(first)


def test_a_reload_keeps_the_sign_in_and_signing_out_ends_it(demo: DemoPage) -> None:
    demo.enter()
    demo.page.reload()
    demo.expect_state("idle")
    demo.page.get_by_role("button", name="Sign out").click()
    demo.expect_state("signed-out")
    expect(demo.page.locator("#username")).to_be_focused()
    demo.page.reload()
    expect(demo.page.locator("#sign-in")).to_be_visible()
    assert demo.page.request.get(f"{demo.url}/me").status == 401


def test_a_lost_sign_in_leads_back_to_the_door(demo: DemoPage) -> None:
    demo.enter()
    demo.page.context.clear_cookies()
    demo.talk.click()
    demo.expect_state("signed-out")
    expect(demo.page.locator("#sign-in-error")).to_contain_text("Sign in again")
    demo.sign_in()
    demo.expect_state("idle")


def test_the_page_says_that_the_stand_in_answers(demo: DemoPage) -> None:
    demo.visit()
    expect(demo.page.locator("html")).to_have_attribute("data-upstream", "stand-in")
    expect(demo.page.get_by_text("a local stand-in repeats what you say")).to_be_visible()


# ---- the conversation -----------------------------------------------------------------------------------


def test_talk_mute_and_stop(demo: DemoPage, service: Site) -> None:
    demo.enter()
    expect(demo.talk).to_have_accessible_name("Talk")
    demo.start()
    expect(demo.talk).to_have_accessible_name("Stop")
    mute = demo.page.get_by_role("button", name="Mute")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "true")
    expect(demo.status).to_have_text("Muted")
    heard = wait_for("the sound to stop", lambda: _settled(service))
    mute.click()
    wait_for("sound again", lambda: len(service.standin.control.received_audio()) > heard)
    demo.talk.click()
    demo.expect_state("ended")
    expect(demo.talk).to_have_accessible_name("Talk")
    wait_for("the connection to end", lambda: service.standin.control.health()["open_connections"] == 0)


def _settled(service: Site) -> int:
    """How much sound arrived, once no more of it does."""
    before = len(service.standin.control.received_audio())
    for _ in range(10):
        time.sleep(0.3)
        now = len(service.standin.control.received_audio())
        if now == before:
            return now
        before = now
    raise AssertionError("muted, and sound still arrives")


def test_muting_does_not_outlive_the_conversation(demo: DemoPage) -> None:
    demo.enter()
    demo.start()
    demo.page.get_by_role("button", name="Mute").click()
    demo.talk.click()
    demo.expect_state("ended")
    demo.start()
    expect(demo.status).to_have_text("Listening")


def test_a_typed_message_needs_no_microphone_and_talk_goes_over_to_the_voice(demo: DemoPage) -> None:
    demo.page.add_init_script(
        """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        globalThis.opened = 0;
        navigator.mediaDevices.getUserMedia = (...wish) => { opened += 1; return open(...wish); };"""
    )
    demo.enter()
    demo.say("Good morning")
    demo.caption("user", "Good morning")
    demo.caption("model", "You wrote: Good morning")
    expect(demo.page.locator("#message")).to_have_value("")
    demo.expect_state("listening")
    assert demo.page.evaluate("opened") == 0
    expect(demo.page.get_by_role("button", name="End chat")).to_be_visible()
    demo.talk.click()
    expect(demo.page.get_by_role("button", name="Mute")).to_be_visible(timeout=15_000)
    assert demo.page.evaluate("opened") == 1
    demo.caption("user", "Good morning")


def test_what_is_typed_while_connecting_is_sent_once_connected(demo: DemoPage, service: Site) -> None:
    service.standin.control.scenario("setup-slow", seconds=1.0)
    demo.enter()
    demo.talk.click()
    demo.expect_state("connecting")
    demo.say("/silence 1")
    expect(demo.page.locator("#message")).to_have_value("")
    expect(demo.captions.locator("li")).to_have_count(0)
    demo.caption("user", "/silence 1")
    expect(demo.page.locator("#message")).to_have_value("")


def test_cancel_leads_back_to_the_start(demo: DemoPage, service: Site) -> None:
    service.standin.control.scenario("setup-hang")
    demo.enter()
    demo.talk.click()
    demo.expect_state("connecting")
    expect(demo.talk).to_have_accessible_name("Cancel")
    demo.talk.click()
    demo.expect_state("idle")
    expect(demo.notice).to_be_hidden()


def test_the_model_learns_the_time_from_the_page(demo: DemoPage) -> None:
    demo.enter()
    demo.say("/tool get_time {}")
    demo.caption("model", re.compile(r"get_time answered .*\d\d:\d\d"))
    expect(demo.captions.get_by_text("Checked the time")).to_be_visible()


def test_words_are_shown_as_words(demo: DemoPage) -> None:
    """Neither a person nor the model can put markup into the page."""
    words = "<img src=x onerror=alert(1)><b>bold</b>"
    demo.enter()
    demo.say(words)
    demo.caption("user", words)
    demo.caption("model", f"You wrote: {words}")
    expect(demo.captions.locator("img, b")).to_have_count(0)


def test_the_ring_shows_the_voice(demo: DemoPage) -> None:
    """Nothing reaches past the resting circles until someone is heard."""
    demo.enter()
    demo.say("/silence 2")
    demo.expect_state("speaking")
    assert demo.ring_reach() == 0
    demo.expect_state("listening")
    demo.say("/tone 440 3")
    demo.expect_state("speaking")
    wait_for("the ring to swell", lambda: demo.ring_reach() > 200)
    demo.expect_state("listening")
    wait_for("the ring to rest", lambda: demo.ring_reach() == 0)


def test_less_motion_is_respected(visit: Visits, service: Site) -> None:
    service.standin.control.scenario("setup-hang")
    moved = {}
    for wish in ("reduce", "no-preference"):
        demo = visit(service.broker.url, reduced_motion=wish)
        demo.enter()
        demo.talk.click()
        demo.expect_state("connecting")
        time.sleep(0.3)
        frames = set()
        for _ in range(4):
            frames.add(demo.page.evaluate("document.getElementById('ring').toDataURL()"))
            time.sleep(0.1)
        moved[wish] = len(frames) > 1
    assert moved == {"reduce": False, "no-preference": True}


def test_push_to_talk_is_held_by_key_and_by_button(demo: DemoPage, service: Site) -> None:
    demo.enter()
    demo.start()
    demo.page.click("#settings summary")
    demo.page.check("#push-mode")
    demo.page.keyboard.press("Escape")
    push = demo.page.locator("#push")
    expect(push).to_be_visible()
    heard = wait_for("the sound to stop", lambda: _settled(service))
    demo.page.locator("#talk-title").evaluate("() => document.activeElement.blur()")
    demo.page.keyboard.down("Space")
    expect(push).to_have_attribute("data-pressed", "")
    wait_for("sound again", lambda: len(service.standin.control.received_audio()) > heard)
    demo.page.keyboard.up("Space")
    heard = wait_for("the sound to stop", lambda: _settled(service))
    push.hover()
    demo.page.mouse.down()
    wait_for("sound again", lambda: len(service.standin.control.received_audio()) > heard)
    demo.page.mouse.up()
    expect(push).not_to_have_attribute("data-pressed", "")


def test_what_was_said_can_be_saved(demo: DemoPage) -> None:
    demo.enter()
    demo.say("Keep this")
    demo.caption("model", "You wrote: Keep this")
    demo.page.click("#settings summary")
    for button, ending in (("Save text", ".txt"), ("Save JSON", ".json")):
        with demo.page.expect_download() as saving:
            demo.page.get_by_role("button", name=button).click()
        assert saving.value.suggested_filename.endswith(ending)
        assert "Keep this" in Path(saving.value.path()).read_text()


def test_of_the_conversations_elsewhere_the_chosen_one_makes_room(
    visit: Visits, service: Site, make_broker: MakeBroker
) -> None:
    """And the others go on. Each is named by who is talked to and since when."""
    broker = make_broker(service.standin.url, toml=TWO_AT_A_TIME)
    broker.add_user("demo", plan="double")
    first, second, third = (visit(broker.url) for _ in range(3))
    for demo in (first, second, third):
        demo.enter()
    first.start()
    second.page.select_option("#profile", label="A calm storyteller · voice Kore")
    second.start()
    third.talk.click()
    third.expect_notice("too-many-sessions")
    ends = third.page.locator("#notice-actions button")
    expect(ends.filter(has_text="End “A friendly voice assistant” from ")).to_be_visible()
    ends.filter(has_text="End “A calm storyteller · voice Kore” from ").click()
    third.expect_state("listening")
    first.expect_state("listening", "speaking", "thinking")
    with broker.client("demo") as client:
        open_now = client.get("/me").json()["sessions"]
    assert [session["profile"] for session in open_now] == ["default", "default"]


# ---- when it goes wrong ---------------------------------------------------------------------------------


@pytest.fixture
def refusing(playwright: Playwright) -> Iterator[Browser]:
    """Chromium where nobody allows the microphone."""
    running = launch(playwright, ask=True)
    yield running
    running.close()


@pytest.fixture
def deaf(playwright: Playwright) -> Iterator[Browser]:
    """Chromium on a machine without a microphone."""
    flags = [flag for flag in FLAGS if "fake-device" not in flag]
    running = playwright.chromium.launch(
        executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=flags
    )
    yield running
    running.close()


def test_a_blocked_microphone_leaves_typing(refusing: Browser, visit: Visits, service: Site) -> None:
    demo = visit(service.broker.url, refusing)
    demo.page.context.grant_permissions([])  # all others are denied from here on
    demo.enter()
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("permission-denied")
    demo.page.get_by_role("button", name="Type instead").click()
    expect(demo.page.locator("#message")).to_be_focused()
    demo.say("Hello")
    demo.caption("model", "You wrote: Hello")
    expect(demo.notice).to_be_hidden()


def test_no_microphone_leaves_typing(deaf: Browser, visit: Visits, service: Site) -> None:
    demo = visit(service.broker.url, deaf, permissions=["microphone"])
    demo.enter()
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("no-microphone")
    expect(demo.page.get_by_role("button", name="Type instead")).to_be_visible()


def test_a_spent_allowance_counts_down_and_then_lets_go_on(
    visit: Visits, service: Site, make_broker: MakeBroker
) -> None:
    broker = make_broker(service.standin.url, rate="1/8 seconds")
    broker.add_user("demo")
    demo = visit(broker.url)
    demo.enter()
    demo.start()
    demo.talk.click()
    demo.expect_state("ended")
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("rate-limited")
    expect(demo.talk).to_have_attribute("aria-disabled", "true")
    expect(demo.talk).to_have_accessible_name(re.compile(r"Wait 0:0\d"))
    demo.talk.click(force=True)
    demo.expect_state("error")
    again = demo.page.get_by_role("button", name="Try again")
    expect(again).to_be_visible(timeout=15_000)
    expect(demo.talk).not_to_have_attribute("aria-disabled", "true")
    again.click()
    demo.expect_state("listening")


def test_a_failing_upstream_is_said_and_a_retry_helps(demo: DemoPage, service: Site) -> None:
    demo.enter()
    service.standin.control.scenario("mint-status", status=500, times=1)
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("upstream-error")
    demo.page.get_by_role("button", name="Try again").click()
    demo.expect_state("listening")
    expect(demo.notice).to_be_hidden()


@pytest.mark.parametrize(
    ("push", "code"),
    [({"close": "quota"}, "connection-refused"), ({"close": "normal"}, "session-ended")],
)
def test_a_line_that_ends_is_said_and_the_words_stay(
    demo: DemoPage, service: Site, push: dict[str, object], code: str
) -> None:
    demo.enter()
    demo.say("Remember this")
    demo.caption("model", "You wrote: Remember this")
    service.standin.control.push(**push)
    demo.expect_state("error", "ended")
    demo.expect_notice(code)
    demo.caption("user", "Remember this")
    demo.page.get_by_role("button", name="Try again").click()
    demo.expect_state("listening")


def test_offline_is_said_and_goes_away_by_itself(demo: DemoPage) -> None:
    demo.enter()
    demo.page.context.set_offline(True)
    demo.expect_notice("offline")
    demo.talk.click()
    demo.expect_state("error")
    demo.page.context.set_offline(False)
    expect(demo.notice).to_be_hidden()
    demo.expect_state("idle")
    reachable = "fetch('/healthz').then(({ ok }) => ok, () => false)"
    wait_for("the network", lambda: demo.page.evaluate(reachable))
    demo.start()


def test_a_part_of_the_page_that_does_not_arrive_is_told_and_comes_with_the_next_try(
    demo: DemoPage, service: Site
) -> None:
    """What a conversation needs is loaded with the first one; without it none is begun or left open."""
    demo.enter()
    demo.page.route("**/demo/live-panels.js", lambda route: route.abort())
    demo.talk.click()
    demo.expect_notice("part-missing")
    expect(demo.page.get_by_role("button", name="Reload the page")).to_be_visible()
    wait_for("the connection to end", lambda: service.standin.control.health()["open_connections"] == 0)
    demo.page.unroute("**/demo/live-panels.js")
    demo.page.get_by_role("button", name="Try again").click()
    demo.expect_state("listening")
    demo.say("/silence 0.2")
    demo.caption("user", "/silence 0.2")


@pytest.mark.parametrize(
    ("part", "opener", "shown"),
    [("settings", "#settings > summary", "#settings-panel:not([inert])"), ("video-preview", "#camera", "#preview")],
)
def test_a_panel_that_does_not_arrive_is_told_and_comes_with_the_next_click(
    demo: DemoPage, part: str, opener: str, shown: str
) -> None:
    demo.enter()
    demo.start()
    demo.page.route(f"**/demo/{part}.js", lambda route: route.abort())
    demo.page.locator(opener).click()
    demo.expect_notice("panel-missing")
    demo.page.get_by_role("button", name="Close").click()
    demo.expect_state("listening")
    demo.page.unroute(f"**/demo/{part}.js")
    demo.page.locator(opener).click()
    expect(demo.page.locator(shown)).to_be_visible()


def test_a_failed_message_stays_in_the_box_and_is_tried_again(demo: DemoPage, service: Site) -> None:
    demo.enter()
    service.standin.control.scenario("mint-status", status=500, times=1)
    demo.say("Do not lose me")
    demo.expect_notice("upstream-error")
    expect(demo.page.locator("#message")).to_have_value("Do not lose me")
    demo.page.get_by_role("button", name="Try again").click()
    demo.caption("model", "You wrote: Do not lose me")


# ---- for everybody --------------------------------------------------------------------------------------


def test_everything_works_from_the_keyboard(demo: DemoPage) -> None:
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
    expect(demo.page.locator("#mute")).to_have_attribute("aria-pressed", "true")
    _tab_to(demo.page, "#volume")
    keys.press("ArrowLeft")
    assert demo.page.locator("#volume").input_value() == "99"
    _tab_to(demo.page, "#message")
    keys.type("Hello")
    keys.press("Enter")
    demo.caption("model", "You wrote: Hello")
    _tab_to(demo.page, "#diagnostics summary", "Shift+Tab")
    keys.press("Enter")
    expect(demo.page.get_by_text("Network thread")).to_be_visible()
    keys.press("Escape")
    expect(demo.page.get_by_text("Network thread")).to_be_hidden()
    _tab_to(demo.page, "#talk")
    keys.press("Enter")
    demo.expect_state("ended")
    _tab_to(demo.page, "#sign-out", "Shift+Tab")
    keys.press("Enter")
    demo.expect_state("signed-out")


def _tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Moves on until this has the focus, and the focus is seen."""
    for _ in range(12):
        page.keyboard.press(key)
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            shown = "getComputedStyle(document.activeElement.closest('#compose') ?? document.activeElement)"
            assert page.evaluate(f"{shown}.outlineStyle") == "solid"
            return
    raise AssertionError(f"{key} does not lead to {selector}")


def test_a_screen_reader_hears_finished_sentences_only(demo: DemoPage) -> None:
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


def test_everything_can_be_reached_in_a_window_of_320_by_256(visit: Visits, service: Site) -> None:
    """A desktop window at 400 %, and a word that has no place to break."""
    demo = visit(service.broker.url, viewport={"width": 320, "height": 256})
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
    service.standin.control.push(close="quota")
    demo.expect_notice("connection-refused")
    assert demo.overflow() <= 0
    for selector in ("#talk", "#notice button", "#send"):
        demo.page.locator(selector).first.scroll_into_view_if_needed()
        expect(demo.page.locator(selector).first).to_be_in_viewport()


def test_targets_are_large_enough(visit: Visits, service: Site) -> None:
    demo = visit(service.broker.url, viewport=PHONE)
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


# ---- what stays behind ----------------------------------------------------------------------------------


def test_no_token_is_left_anywhere(demo: DemoPage, service: Site) -> None:
    demo.enter()
    demo.start()
    demo.page.click("#mute")
    demo.say("Hello")
    demo.caption("model", "You wrote: Hello")
    demo.page.click("#diagnostics summary")
    expect(demo.page.get_by_text("Network thread")).to_be_visible()
    during = demo.kept()
    demo.talk.click()
    demo.expect_state("ended")
    for kept in (during, demo.kept()):
        assert TOKEN_LIKE.search(kept) is None
    stored = demo.page.evaluate("localStorage.length + sessionStorage.length")
    assert stored == 0
    assert demo.page.url == f"{service.broker.url}/"


def test_the_details_can_be_copied(demo: DemoPage) -> None:
    demo.page.context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"])
    demo.enter()
    demo.start()
    demo.page.click("#diagnostics summary")
    demo.page.get_by_role("button", name="Copy").click()
    expect(demo.page.get_by_text("Copied")).to_be_visible()
    copied = demo.page.evaluate("navigator.clipboard.readText()")
    assert "Set up after: " in copied
    assert TOKEN_LIKE.search(copied) is None


def test_the_page_keeps_to_its_policy(demo: DemoPage) -> None:
    """No inline script or style, and nothing from elsewhere; what breaks it is caught in every other test."""
    answer = demo.page.request.get(f"{demo.url}/")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    html = answer.text()
    assert re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|<style", html) is None
    assert re.search(r"(?:src|href)=\"(?!/)", html) is None
