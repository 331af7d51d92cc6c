"""A conversation on the demo page: talk, type, mute, cancel, push-to-talk, save and end."""

from __future__ import annotations

import re
import time
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.demo_page import PHONE, DemoPage, Site, Visits
from tests.browser.support import wait_for


def test_talk_mute_and_stop(demo: DemoPage, site: Site) -> None:
    demo.enter()
    expect(demo.talk).to_have_accessible_name("Talk")
    demo.start()
    expect(demo.talk).to_have_accessible_name("Stop")
    mute = demo.page.locator("#mute")
    mute.click()
    expect(mute).to_have_accessible_name("Unmute")
    expect(demo.status).to_have_text("Muted")
    heard = wait_for("the sound to stop", lambda: _settled(site))
    mute.click()
    wait_for("sound again", lambda: len(site.standin.control.received_audio()) > heard)
    demo.talk.click()
    demo.expect_state("ended")
    expect(demo.talk).to_have_accessible_name("Talk")
    wait_for("the connection to end", lambda: site.standin.control.health()["open_connections"] == 0)


def _settled(site: Site) -> int:
    """The amount of sound that arrived, once no more arrives."""
    before = len(site.standin.control.received_audio())
    for _ in range(20):
        time.sleep(0.15)  # seven chunks of 20 ms
        now = len(site.standin.control.received_audio())
        if now == before:
            return now
        before = now
    raise AssertionError("muted, and sound still arrives")


def test_mute_ends_with_the_conversation(demo: DemoPage) -> None:
    demo.enter()
    demo.start()
    demo.page.get_by_role("button", name="Mute").click()
    demo.talk.click()
    demo.expect_state("ended")
    demo.start()
    expect(demo.status).to_have_text("Listening")


def test_typed_message_needs_no_microphone_and_talk_switches_to_voice(demo: DemoPage) -> None:
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
    expect(demo.page.get_by_role("button", name="Mute")).to_be_visible(timeout=40_000)
    assert demo.page.evaluate("opened") == 1
    demo.caption("user", "Good morning")


def test_message_typed_while_connecting_is_sent_once_connected(demo: DemoPage, site: Site) -> None:
    site.standin.control.scenario("setup-slow", seconds=3.0)
    demo.enter()
    demo.talk.click()
    demo.expect_state("connecting")
    demo.say("/silence 1")
    expect(demo.page.locator("#message")).to_have_value("")
    expect(demo.captions.locator("li")).to_have_count(0)
    demo.caption("user", "/silence 1")
    expect(demo.page.locator("#message")).to_have_value("")


def test_cancel_returns_to_idle(demo: DemoPage, site: Site) -> None:
    site.standin.control.scenario("setup-hang")
    demo.enter()
    demo.talk.click()
    demo.expect_state("connecting")
    expect(demo.talk).to_have_accessible_name("Cancel")
    demo.talk.click()
    demo.expect_state("idle")
    expect(demo.notice).to_be_hidden()


def test_model_gets_the_time_from_the_page(demo: DemoPage) -> None:
    demo.enter()
    demo.say("/tool get_time {}")
    demo.caption("model", re.compile(r"get_time answered .*\d\d:\d\d"))
    expect(demo.captions.get_by_text("Checked the time")).to_be_visible()


SILENCE = {"mimeType": "audio/pcm;rate=24000", "data": "A" * 1280}
WORDS = """(text) => Array.from(document.querySelectorAll('#captions .words'))
    .filter((words) => words.textContent.includes(text))
    .map((words) => [words.lang, getComputedStyle(words).direction])"""


def test_captions_have_their_own_direction_and_language(demo: DemoPage, site: Site) -> None:
    push = site.standin.control.push
    demo.enter()
    site.standin.control.scenario("mute")
    demo.start()
    for text, language, shown in (
        ("שלום, מה שלומך?", "he-IL", ["he-IL", "rtl"]),
        ("مرحبا بك", "ar", ["ar", "rtl"]),
        ("Guten Tag", "de-DE", ["de-DE", "ltr"]),
        ("Good day", '"><b>', ["", "ltr"]),
    ):
        content = {
            "modelTurn": {"role": "model", "parts": [{"inlineData": SILENCE}]},
            "outputTranscription": {"text": text, "languageCode": language},
        }
        push(frame={"serverContent": content})
        push(frame={"serverContent": {"turnComplete": True}})
        demo.caption("model", text)
        assert demo.page.evaluate(WORDS, text) == [shown]


def test_translated_caption_goes_on_growing(demo: DemoPage, site: Site) -> None:
    """Translation extensions replace the text by elements of their own."""
    push = site.standin.control.push
    demo.enter()
    site.standin.control.scenario("mute")
    demo.start()
    push(frame={"serverContent": {"inputTranscription": {"text": "One, "}}})
    demo.caption("user", "One,")
    demo.page.evaluate(
        """() => {
            const words = document.querySelector('#captions .words');
            const font = document.createElement('font');
            font.textContent = 'Eins, ';
            words.replaceChildren(font);
        }"""
    )
    for more in ("two, ", "three."):
        push(frame={"serverContent": {"inputTranscription": {"text": more}}})
    demo.caption("user", "One, two, three.")
    expect(demo.captions.locator("li")).to_have_count(1)


def test_message_that_is_too_long_is_neither_cut_nor_sent(demo: DemoPage) -> None:
    demo.enter()
    box = demo.page.locator("#message")
    for length, valid in ((4000, True), (4001, False), (100_000, False)):
        box.fill("x" * length)
        assert box.evaluate("(box) => [box.value.length, box.validity.valid]") == [length, valid]
    demo.page.click("#send")
    assert "at most 4,000 characters. This one has 100,000." in box.evaluate("box => box.validationMessage")
    expect(demo.captions.locator("li")).to_have_count(0)
    assert box.evaluate("(box) => box.value.length") == 100_000


def test_captions_show_markup_as_text(demo: DemoPage) -> None:
    """Neither a person nor the model can insert markup into the page."""
    words = "<img src=x onerror=alert(1)><b>bold</b>"
    demo.enter()
    demo.say(words)
    demo.caption("user", words)
    demo.caption("model", f"You wrote: {words}")
    expect(demo.captions.locator("img, b")).to_have_count(0)


def test_ring_swells_with_a_voice_and_rests_in_silence(demo: DemoPage) -> None:
    """Nothing is drawn outside the resting circles until someone speaks."""
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


def test_reduced_motion_stops_the_ring(visit: Visits, site: Site) -> None:
    site.standin.control.scenario("setup-hang")
    moved = {}
    for wish in ("reduce", "no-preference"):
        demo = visit(site.broker.url, reduced_motion=wish)
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


def _reach_in(demo: DemoPage, seconds: float) -> int:
    demo.page.wait_for_timeout(seconds * 1000)
    return demo.ring_reach()


def test_push_to_talk_works_with_the_space_bar_and_the_button(demo: DemoPage, site: Site) -> None:
    demo.enter()
    demo.start()
    demo.page.click("#settings summary")
    demo.page.check("#push-mode")
    demo.page.keyboard.press("Escape")
    push = demo.page.locator("#push")
    expect(push).to_be_visible()
    heard = wait_for("the sound to stop", lambda: _settled(site))
    expect(demo.status).to_have_text("Hold to talk")
    dot = "getComputedStyle(document.getElementById('status'), '::before').backgroundColor"
    resting = demo.page.evaluate(dot)
    wait_for("the ring to come to rest", lambda: demo.ring_reach() == 0)
    assert [_reach_in(demo, 0.2) for _ in range(5)] == [0] * 5, "the ring shows a voice that is not sent"
    demo.page.locator("#talk-title").evaluate("() => document.activeElement.blur()")
    demo.page.keyboard.down("Space")
    expect(push).to_have_attribute("data-pressed", "")
    expect(demo.status).to_have_text(re.compile("Listening|Thinking|Speaking"))
    assert demo.page.evaluate(dot) != resting, "it looks live only while it is held"
    wait_for("sound again", lambda: len(site.standin.control.received_audio()) > heard)
    demo.page.keyboard.up("Space")
    heard = wait_for("the sound to stop", lambda: _settled(site))
    push.hover()
    demo.page.mouse.down()
    wait_for("sound again", lambda: len(site.standin.control.received_audio()) > heard)
    demo.page.mouse.up()
    expect(push).not_to_have_attribute("data-pressed", "")


def test_transcript_can_be_saved_as_text_and_json(demo: DemoPage) -> None:
    demo.enter()
    demo.say("Keep this")
    demo.caption("model", "You wrote: Keep this")
    for button, ending in (("Save text", ".txt"), ("Save JSON", ".json")):
        with demo.page.expect_download() as saving:
            demo.page.get_by_role("button", name=button).click()
        assert saving.value.suggested_filename.endswith(ending)
        assert "Keep this" in Path(saving.value.path()).read_text()


def test_ending_a_chosen_other_conversation_starts_this_one(visit: Visits, site: Site) -> None:
    """The remaining conversations continue. Each is listed with its profile and its start time."""
    first, second, third = (visit(site.broker.url) for _ in range(3))
    for demo in (first, second, third):
        demo.enter("double")
    first.start()
    second.page.get_by_role("radio", name="A calm storyteller").check()
    second.start()
    third.talk.click()
    third.expect_notice("too-many-sessions")
    ends = third.page.locator("#notice-actions button")
    expect(ends.filter(has_text="End “A friendly voice assistant” from ")).to_be_visible()
    ends.filter(has_text="End “A calm storyteller · voice Kore” from ").click()
    third.expect_state("listening")
    first.expect_state("listening", "speaking", "thinking")
    with site.broker.client("double") as client:
        open_now = client.get("/me").json()["sessions"]
    assert [session["profile"] for session in open_now] == ["default", "default"]


GAP = """() => {
    const { scrollHeight, scrollTop, clientHeight } = document.getElementById('scroll');
    return scrollHeight - scrollTop - clientHeight;
}"""


def _exchange_lines(demo: DemoPage, number: int) -> None:
    """A typed line that fills a row of a phone, and its answer."""
    demo.say(f"Line {number} that is long enough to fill a whole row of a narrow phone")
    demo.caption("model", re.compile(f"You wrote: Line {number} "))


# The preview appears, and the event of an earlier scroll comes before the observer of the box's size.
SHRINK_WITH_A_SCROLL_UNDER_WAY = """() => {
    const box = document.getElementById('scroll');
    const before = box.clientHeight;
    document.getElementById('video-tile').hidden = false;
    box.dispatchEvent(new Event('scroll'));
    return before - box.clientHeight;
}"""


def test_captions_follow_on_a_phone_until_a_reader_scrolls(visit: Visits, site: Site) -> None:
    """The preview takes room from the transcript. The browser scrolls then, and that is not a reader."""
    demo = visit(site.broker.url, viewport=PHONE)
    demo.enter()
    for number in range(8):
        _exchange_lines(demo, number)
    assert demo.page.evaluate(SHRINK_WITH_A_SCROLL_UNDER_WAY) > 80
    for number in (8, 9):
        _exchange_lines(demo, number)
        assert demo.page.evaluate(GAP) < 5
    demo.page.locator("#scroll").evaluate("box => { box.scrollTop = 0; }")
    demo.page.wait_for_timeout(200)
    site.standin.control.push(command="/thought Read on")
    demo.caption("model", "Read on")
    assert demo.page.locator("#scroll").evaluate("box => box.scrollTop") == 0
