"""The stage of the demo page: nothing jumps while someone speaks, and the captions follow."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.demo_page import DESKTOP, PHONE, DemoPage, Site, Visits
from tests.browser.support import wait_for

ANSWER = "/thought About two hours, with one change. The first train leaves at ten past six in the morning."
BOX = """(selector) => {
    const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
    return [x, y, width, height];
}"""
# Waits for these words. Returns how far the captions are from their end, and how much of them is visible.
END = """async (words) => {
    for (let frames = 0; frames < 600; frames += 1) {
        if (document.getElementById('captions').textContent.includes(words)) break;
        await new Promise(requestAnimationFrame);
    }
    if (!document.getElementById('captions').textContent.includes(words)) throw new Error(`no ${words}`);
    for (let i = 0; i < 2; i += 1) await new Promise(requestAnimationFrame);
    const box = document.getElementById('scroll');
    return [Math.abs(box.scrollHeight - box.scrollTop - box.clientHeight), box.clientHeight];
}"""
LINE = "Another line of the conversation that fills a whole row of a narrow phone, and then some more. "


def box(demo: DemoPage, selector: str) -> tuple[float, float, float, float]:
    x, y, width, height = demo.page.evaluate(BOX, selector)
    return x, y, width, height


def overlap(demo: DemoPage, one: str, other: str) -> bool:
    a, b = box(demo, one), box(demo, other)
    return all(a[i] < b[i] + b[i + 2] and b[i] < a[i] + a[i + 2] for i in (0, 1))


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_talk_button_stays_where_it_is(visit: Visits, site: Site, viewport: dict[str, int]) -> None:
    control = site.standin.control
    demo = visit(site.broker.url, viewport=viewport)
    demo.enter("alice")
    places = {"idle": box(demo, "#orb")}
    control.scenario("mute")
    demo.start()
    places["connected"] = box(demo, "#orb")
    demo.page.click("#mute")
    control.scenario("mute", off=True)
    places["muted"] = box(demo, "#orb")
    control.push(command=ANSWER)
    demo.caption("model", "About")
    places["first caption"] = box(demo, "#orb")
    demo.expect_state("speaking")
    places["speaking"] = box(demo, "#orb")
    demo.page.click("#camera")
    expect(demo.page.locator("#preview")).to_be_visible()
    places["camera"] = box(demo, "#orb")
    control.push(interrupt=True)
    demo.expect_state("listening")
    places["interrupted"] = box(demo, "#orb")
    demo.talk.click()
    demo.expect_state("ended")
    places["ended"] = box(demo, "#orb")
    assert set(places.values()) == {places["idle"]}, places


# ---- the captions follow -----------------------------------------------------------------------------------

ACTIONS = ("mute", "camera", "screen", "rotate", "zoom", "keyboard")


def every_pair(count: int) -> list[int]:
    """Numbers below `count` in an order in which each of them follows each, itself included (de Bruijn)."""
    order = [0]
    used: set[tuple[int, int]] = set()
    while len(used) < count * count:
        step = next(n for n in reversed(range(count)) if (order[-1], n) not in used)
        used.add((order[-1], step))
        order.append(step)
    return order


def test_walk_has_every_ordered_pair() -> None:
    order = every_pair(len(ACTIONS))
    assert set(itertools.pairwise(order)) == {(a, b) for a in range(6) for b in range(6)}
    assert len(order) == 37


class Walk:
    """Does one action after the other in a conversation that goes on. Each action is a switch."""

    def __init__(self, demo: DemoPage, site: Site, width: int) -> None:
        self._demo, self._push = demo, site.standin.control.push
        self._width, self._height = (width, 800) if width > 480 else (width, 844)
        self._on: set[str] = set()
        self._lines = 0

    def do(self, action: str) -> None:
        self._on ^= {action}
        if action in ("camera", "screen"):
            self._on -= {"camera", "screen"} - {action}
            self._video()
        elif action == "mute":
            self._demo.page.evaluate("document.getElementById('mute').click()")
        else:
            self._resize()

    def _video(self) -> None:
        page = self._demo.page
        [source] = self._on & {"camera", "screen"} or {""}
        clicked = source or page.locator("[aria-pressed=true]:is(#camera, #screen)").get_attribute("id")
        page.evaluate("id => document.getElementById(id).click()", clicked)
        pressed = page.locator(f"#{clicked}[aria-pressed={'true' if source else 'false'}]")
        expect(pressed).to_be_attached()

    def _resize(self) -> None:
        width, height = self._width, self._height
        if "rotate" in self._on:
            width, height = height, width
        if "zoom" in self._on:
            width, height = max(320, width // 2), max(256, height // 2)
        if "keyboard" in self._on:
            height = max(200, height * 55 // 100)
            self._demo.page.focus("#message")
        self._demo.page.set_viewport_size({"width": width, "height": height})

    def speak(self) -> tuple[float, float]:
        """Someone speaks. Returns where the captions are, see `END`."""
        self._lines += 1
        text = f"{LINE}{self._lines}! "
        self._push(frame={"serverContent": {"inputTranscription": {"text": text}}})
        gap, height = self._demo.page.evaluate(END, f" {self._lines}!")
        return gap, height


@pytest.mark.parametrize(
    "width",
    [
        *(390, 1280),
        *(pytest.param(width, marks=pytest.mark.long) for width in (320, 1920)),
        *(pytest.param(width, marks=pytest.mark.release) for width in (640, 768, 1024)),
    ],
)
def test_captions_follow_in_every_order_of_actions(visit: Visits, site: Site, width: int) -> None:
    demo = visit(site.broker.url, viewport={"width": width, "height": 844})
    demo.enter("bob")
    site.standin.control.scenario("mute")
    demo.start()
    walk = Walk(demo, site, width)
    lost: list[str] = []
    for _ in range(6):
        walk.speak()
    done: list[str] = []
    for number in every_pair(len(ACTIONS)):
        done.append(ACTIONS[number])
        walk.do(ACTIONS[number])
        gap, height = walk.speak()
        if gap > 4 or height < 40:
            lost.append(f"after {done[-2:]}: {gap} px from the end of {height} px")
    assert lost == []
    assert demo.overflow() <= 0


def test_newest_button_returns_a_reader_to_the_end(visit: Visits, site: Site) -> None:
    demo = visit(site.broker.url, viewport=PHONE)
    demo.enter("carol")
    site.standin.control.scenario("mute")
    demo.start()
    walk = Walk(demo, site, 390)
    newest = demo.page.locator("#newest")
    for _ in range(8):
        walk.speak()
    expect(newest).to_be_hidden()
    demo.page.evaluate("document.getElementById('scroll').scrollTop = 0")
    expect(newest).to_be_visible()
    assert walk.speak()[0] > 100, "someone reads further up"
    demo.page.set_viewport_size({"width": 390, "height": 600})
    assert walk.speak()[0] > 100
    newest.click()
    expect(newest).to_be_hidden()
    expect(demo.page.locator("#scroll")).to_be_focused()
    assert walk.speak()[0] < 5
    demo.page.evaluate("document.getElementById('scroll').scrollTop = 0")
    expect(newest).to_be_visible()
    demo.say("/silence 0.1")
    demo.caption("user", "/silence 0.1")
    expect(newest).to_be_hidden()
    assert demo.page.evaluate(END, "/silence 0.1")[0] < 5, "a sent line is followed"


# ---- sheets, tiles and controls ----------------------------------------------------------------------------


ALWAYS_FREE = ("#orb", "#status", "#controls")


@pytest.mark.parametrize("sheet", ["settings", "diagnostics"])
def test_sheet_lies_beside_the_conversation(demo: DemoPage, site: Site, sheet: str) -> None:
    """The conversation goes on meanwhile. On small windows it covers the transcript, but no control."""
    demo.enter("dave")
    site.standin.control.scenario("mute")
    demo.start()
    panel = f"#{sheet} .panel"
    for width, height in ((1920, 1080), (1280, 800), (1040, 700), (900, 700), (640, 400), (390, 844)):
        demo.page.set_viewport_size({"width": width, "height": height})
        before = box(demo, "#orb")
        demo.page.click(f"#{sheet} > summary")
        expect(demo.page.locator(panel)).to_be_visible()
        free = (*ALWAYS_FREE, "#transcript", ".composer") if width >= 1040 else ALWAYS_FREE
        assert [covered for covered in free if overlap(demo, panel, covered)] == [], width
        left, top, panel_width, panel_height = box(demo, panel)
        assert min(left, top) >= 0
        assert left + panel_width <= width
        assert top + panel_height <= height
        assert box(demo, "#orb") == before
        assert demo.overflow() <= 0
        demo.page.keyboard.press("Escape")
    demo.page.click(f"#{sheet} > summary")
    demo.page.click("#mute")
    expect(demo.page.locator(panel)).to_be_visible()
    demo.page.get_by_role("button", name="Close", exact=False).click()
    expect(demo.page.locator(panel)).to_be_hidden()
    expect(demo.page.locator(f"#{sheet} > summary")).to_be_focused()


def test_one_sheet_is_open_at_a_time(demo: DemoPage) -> None:
    demo.enter()
    for sheet in ("settings", "diagnostics", "settings"):
        demo.page.click(f"#{sheet} > summary")
        expect(demo.page.locator(f"#{sheet} .panel")).to_be_visible()
        expect(demo.page.locator("details.dropdown[open]")).to_have_count(1)


COUNT_MICROPHONES = """
    globalThis.streams = [];
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wish) => {
        const stream = await open(wish);
        streams.push(stream);
        return stream;
    };
"""
LIVE_TRACKS = "streams.flatMap((one) => one.getTracks()).filter((one) => one.readyState === 'live').length"


def test_microphone_can_be_checked_before_the_first_conversation(demo: DemoPage, site: Site) -> None:
    demo.page.add_init_script(COUNT_MICROPHONES)
    demo.enter()
    page = demo.page
    page.get_by_role("button", name="Check microphone").click()
    expect(page.locator("#check-result")).to_have_text("Your microphone works.")
    wait_for("a level", lambda: page.locator("#level").evaluate("meter => meter.value") > 0.1)
    assert page.locator("#microphone option").first.inner_text() != "System default", "devices have names"
    page.keyboard.press("Escape")
    wait_for("the microphone to close", lambda: page.evaluate(LIVE_TRACKS) == 0)
    page.click("#settings > summary")
    assert page.evaluate("streams.length") == 1, "opening the panel opens no microphone"
    page.click("#check-microphone")
    expect(page.locator("#check-result")).to_have_text("Your microphone works.")
    demo.start()
    expect(page.locator("#check-microphone")).to_be_hidden()
    wait_for("one microphone", lambda: page.evaluate(LIVE_TRACKS) == 1)
    demo.talk.click()
    wait_for("no microphone", lambda: page.evaluate(LIVE_TRACKS) == 0)
    assert site.standin.control.received()["connections"] != []


def test_tiles_can_be_enlarged_and_keep_their_place(demo: DemoPage) -> None:
    demo.enter()
    demo.say("/silence 0.1")
    demo.caption("user", "/silence 0.1")
    page = demo.page
    page.click("#camera")
    expect(page.locator("#preview")).to_be_visible()
    opened = box(demo, "#preview")
    wait_for("a picture", lambda: page.evaluate("preview.videoWidth > 0"))
    assert box(demo, "#preview") == opened, "the picture arrives in the room that was kept for it"
    orb = box(demo, "#orb")
    page.get_by_role("button", name="Enlarge video").click()
    assert box(demo, "#preview")[3] > opened[3] * 1.5
    assert box(demo, "#transcript")[3] > 100
    page.get_by_role("button", name="Enlarge transcript").click()
    assert box(demo, "#preview")[3] < opened[3]
    page.get_by_role("button", name="Shrink transcript").click()
    assert box(demo, "#preview") == opened
    assert box(demo, "#orb") == orb
    assert demo.overflow() <= 0


def test_labels_say_what_the_next_press_does(demo: DemoPage, site: Site) -> None:
    page, control = demo.page, site.standin.control
    message = page.locator("#message")
    demo.enter()
    expect(message).to_have_attribute("placeholder", "Or type a message")
    control.scenario("setup-hang")
    demo.talk.click()
    demo.expect_state("connecting")
    expect(message).to_have_attribute("placeholder", "Sent as soon as you are connected")
    demo.talk.click()
    demo.expect_state("idle")
    control.scenario("setup-hang", off=True)
    demo.start()
    expect(message).to_have_attribute("placeholder", "Type a message")
    mute = page.locator("#mute")
    width = box(demo, "#mute")[2]
    expect(mute).to_have_accessible_name("Mute")
    mute.click()
    expect(mute).to_have_accessible_name("Unmute")
    assert box(demo, "#mute")[2] == width, "nothing moves"
    demo.talk.click()
    demo.expect_state("ended")
    expect(message).to_have_attribute("placeholder", "Type to start a new one")


def test_transcript_is_saved_with_date_times_and_the_names_of_the_page(demo: DemoPage) -> None:
    page = demo.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"])
    demo.enter()
    expect(page.locator("#copy-text")).to_be_hidden()
    demo.say("Keep this")
    demo.caption("model", "You wrote: Keep this")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#transcript-status")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save text").click()
    assert re.fullmatch(r"conversation-\d{4}-\d\d-\d\dT\d\d-\d\d\.txt", saving.value.suggested_filename)
    saved = Path(saving.value.path()).read_text()
    assert saved == copied
    day, question, answer = saved.splitlines()
    assert re.fullmatch(r"\w+day,? \d{1,2} \w+ \d{4}", day)
    assert re.fullmatch(r"\d\d:\d\d:\d\d You: Keep this", question)
    assert re.fullmatch(r"\d\d:\d\d:\d\d Assistant: You wrote: Keep this", answer)


# ---- for everyone ------------------------------------------------------------------------------------------


def test_accessibility_tree_reads_in_the_order_of_the_page(demo: DemoPage) -> None:
    """Header, button, status, choice, transcript, message box: as one sees it."""
    demo.enter()
    demo.say("Good morning")
    demo.caption("model", "You wrote: Good morning")
    demo.page.click("#camera")
    expect(demo.page.locator("#preview")).to_be_visible()
    demo.expect_state("listening")
    tree = demo.page.locator("body").aria_snapshot()
    expected = [
        "- banner",
        "Live Broker",
        "Settings",
        "Connection",
        'button "Sign out"',
        "- main",
        'region "Conversation"',
        'heading "Conversation" [level=1]',
        'button "Talk"',
        "paragraph: Connected",
        'button "Camera" [pressed]',
        'button "Screen"',
        'button "End chat"',
        'slider "Volume"',
        "The assistant sees your camera.",
        'button "Enlarge video"',
        'region "Transcript"',
        'heading "Transcript" [level=2]',
        'button "Record"',
        'button "Copy"',
        'button "Save text"',
        'button "Enlarge transcript"',
        "text: You",
        "paragraph: Good morning",
        "text: Assistant",
        'textbox "Type a message"',
        'button "Send"',
    ]
    at = -1
    for words in expected:
        found = tree.find(words, at + 1)
        assert found > at, f"{words!r} is missing or too early in\n{tree}"
        at = found


# A control of which a part lies outside the window or under another element.
CUT_OFF = """(selectors) => selectors.flatMap((selector) => [...document.querySelectorAll(selector)])
    .filter((element) => element.checkVisibility())
    .filter((element) => {
        element.scrollIntoView({ block: 'nearest' });
        const { left, right, top, bottom } = element.getBoundingClientRect();
        const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        return left < 0 || right > innerWidth || top < -1 || bottom > innerHeight + 1
            || !(element.contains(at) || at?.contains(element));
    }).map((element) => element.id || element.textContent)"""
FINISH = "document.getAnimations().forEach((animation) => animation.finish())"
EVERY_CONTROL = [
    "#talk",
    "#controls button",
    "#volume",
    "#profile label",
    "#message",
    "#send",
    "summary",
    "#sign-out",
    ".tile-head button",
    "#notice button",
]


def test_zoomed_page_cuts_nothing_off(visit: Visits, site: Site) -> None:
    """640 x 400 is a window of 1280 x 800 at 200 %, 320 x 256 one of 1280 x 1024 at 400 %."""
    demo = visit(site.broker.url, bypass_csp=True)
    demo.enter("erin")
    found: dict[str, list[str]] = {}

    def look(state: str) -> None:
        for width, height in ((640, 400), (320, 640), (320, 256), (740, 360)):
            demo.page.set_viewport_size({"width": width, "height": height})
            demo.page.evaluate(FINISH)
            faults: list[str] = demo.page.evaluate(CUT_OFF, EVERY_CONTROL)
            if demo.overflow() > 0:
                faults.append("wider than the window")
            found[f"{state} {width}x{height}"] = faults
        found[f"{state} accessible"] = axe.violations(demo.page)

    look("idle")
    demo.start()
    demo.page.click("#mute")
    demo.say("A " + "very" * 40 + " long word")
    demo.caption("user", "long word")
    demo.page.click("#camera")
    expect(demo.page.locator("#preview")).to_be_visible()
    look("listening")
    site.standin.control.push(close="quota")
    demo.expect_notice("connection-refused")
    look("refused")
    assert {state: faults for state, faults in found.items() if faults} == {}
