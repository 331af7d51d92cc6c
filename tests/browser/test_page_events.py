"""What the demo page shows during a conversation: devices, reconnects, sources, recordings.

The tests of the first part share one conversation and leave it as it was.
"""

from __future__ import annotations

import re
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from broker.standin import StandIn
from tests.browser.demo_page import DemoPage, Site, Visits, visits
from tests.browser.support import wait_for
from tests.browser.wire import Wire
from tests.conftest import MakeBroker

# Keeps the page's streams, so that a test can end them as a person or the system would.
REMEMBER_STREAMS = """
    globalThis.streams = [];
    for (const ask of ['getUserMedia', 'getDisplayMedia']) {
        const before = navigator.mediaDevices[ask].bind(navigator.mediaDevices);
        navigator.mediaDevices[ask] = async (wish) => {
            const stream = await before(wish);
            streams.push(stream);
            return stream;
        };
    }
"""
END_NEWEST = """() => {
    const [track] = streams.at(-1).getTracks();
    track.stop();
    track.dispatchEvent(new Event('ended'));
}"""
LISTEN_TO_HINT = """() => {
    globalThis.hinted = [];
    new MutationObserver(() => hinted.push(document.querySelector('#hint p')?.textContent ?? ''))
        .observe(document.getElementById('hint'), { childList: true });
}"""


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[StandIn, Wire]]:
    with StandIn(port=0) as standin, Wire(standin.url) as line:
        yield standin, line


@pytest.fixture(scope="module")
def service(wire: tuple[StandIn, Wire], make_broker: MakeBroker) -> Site:
    standin, line = wire
    broker = make_broker(line.url, workers=1)
    for name in ("demo", "bert"):
        broker.add_user(name)
    return Site(standin, broker)


@pytest.fixture(scope="module")
def talking(browser: Browser, service: Site) -> Iterator[DemoPage]:
    """A spoken conversation, muted so that the model does not answer the beeps."""
    with visits(browser, DemoPage) as opening:
        demo = opening(service.broker.url)
        demo.page.add_init_script(REMEMBER_STREAMS)
        demo.enter()
        demo.start()
        demo.page.click("#mute")
        yield demo


@pytest.fixture
def talk(talking: DemoPage) -> DemoPage:
    talking.page.keyboard.press("Escape")
    talking.expect_state("listening")
    return talking


def hint(demo: DemoPage, words: str) -> None:
    expect(demo.page.locator("#hint")).to_contain_text(words, timeout=40_000)


def test_sources_are_links_without_opener_and_referrer(talk: DemoPage) -> None:
    talk.say("/search warm socks")
    link = talk.captions.get_by_role("link", name="The first page")
    expect(link).to_be_visible(timeout=40_000)
    assert link.get_attribute("href") == "https://example.org/1"
    assert link.get_attribute("target") == "_blank"
    assert set((link.get_attribute("rel") or "").split()) == {"noopener", "noreferrer"}
    talk.expect_state("listening")


def test_recording_is_saved_as_a_wav_with_both_voices(talk: DemoPage) -> None:
    record = talk.page.locator("#record")
    record.click()
    expect(record).to_have_attribute("aria-pressed", "true")
    expect(talk.page.get_by_text("Recording on this device")).to_be_visible()
    talk.say("/tone 440 0.5")
    talk.expect_state("speaking")
    talk.expect_state("listening")
    with talk.page.expect_download() as saving:
        record.click()
    expect(record).to_have_text("Record")
    assert re.fullmatch(r"conversation-\d{4}-\d\d-\d\dT\d\d-\d\d\.wav", saving.value.suggested_filename)
    with wave.open(str(Path(saving.value.path()))) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    assert np.abs(samples[:, 1]).max() > 3000, "the assistant's voice is on the right"
    assert np.abs(samples[:, 0]).max() == 0, "a muted user is not recorded"


def test_shared_screen_and_its_end_are_shown(talk: DemoPage) -> None:
    button, preview = talk.page.locator("#screen"), talk.page.locator("#preview")
    button.click()
    expect(preview).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(talk.page.locator("#camera")).to_have_attribute("aria-pressed", "false")
    talk.page.evaluate(END_NEWEST)  # as with the browser's own "Stop sharing" bar
    expect(preview).to_be_hidden()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(talk.notice).to_be_hidden()


def test_speaker_without_echo_cancellation_suggests_headphones(talk: DemoPage) -> None:
    """The offered half-duplex is the same switch as in the settings."""
    talk.page.click("#settings summary")
    speakers = talk.page.locator("#speaker option")
    wait_for("the speakers", lambda: speakers.count() > 1)
    other = speakers.last.get_attribute("value")
    talk.page.select_option("#speaker", other)
    hint(talk, "Use headphones, or turn on half-duplex.")
    expect(talk.page.locator("#half-duplex")).not_to_be_checked()
    talk.page.keyboard.press("Escape")
    talk.page.get_by_role("button", name="Turn on half-duplex").click()
    expect(talk.page.locator("#hint")).to_be_hidden()
    talk.page.click("#settings summary")
    expect(talk.page.locator("#half-duplex")).to_be_checked()
    talk.page.uncheck("#half-duplex")
    talk.page.select_option("#speaker", "")


def test_lost_microphone_and_its_replacement_are_shown(talk: DemoPage) -> None:
    talk.page.evaluate(LISTEN_TO_HINT)
    talk.page.evaluate("() => streams.splice(1)")  # the microphone's alone
    talk.page.evaluate(END_NEWEST)
    hint(talk, "Now using ")
    hints = talk.page.evaluate("hinted")
    assert "The microphone was disconnected. Reconnect it, or choose another one in Settings." in hints
    talk.expect_state("listening")
    talk.page.get_by_role("button", name="Close").click()
    expect(talk.page.locator("#hint")).to_be_hidden()


def test_offline_hint_disappears_when_back_online(talk: DemoPage, service: Site) -> None:
    talk.page.context.set_offline(True)
    service.standin.control.push(drop=True)
    hint(talk, "You are offline.")
    expect(talk.notice).to_be_hidden()
    talk.page.context.set_offline(False)
    expect(talk.page.locator("#hint")).to_be_hidden(timeout=40_000)
    talk.expect_state("listening")


def test_reconnect_line_says_what_the_assistant_still_knows(talk: DemoPage, service: Site) -> None:
    """The first reconnect resumes the session. The second gets a new session and sends the history."""
    control = service.standin.control
    talk.say("The word is marmalade")
    talk.caption("model", "You wrote: The word is marmalade")
    talk.expect_state("listening")
    control.scenario("setup-slow", seconds=1.0, times=1)
    control.push(close="going-down")
    talk.expect_state("reconnecting")
    expect(talk.status).to_have_text("Reconnecting…")
    expect(talk.talk).to_have_accessible_name("Stop")
    talk.expect_state("listening")
    note = talk.captions.locator("li.card")
    expect(note.filter(has_text="Reconnected. Nothing was lost.").last).to_be_visible()
    control.scenario("resume-refused", close="internal", times=2)
    control.push(drop=True)
    seeded = note.filter(has_text="Reconnected. The assistant knows what was said.").last
    expect(seeded).to_be_visible(timeout=40_000)
    talk.expect_state("listening")
    talk.caption("user", "The word is marmalade")


def test_broker_restart_does_not_disturb_a_conversation(talk: DemoPage, service: Site) -> None:
    """No audio passes through the broker. A new start fails until it is back, and needs no new sign-in."""
    service.broker.close()
    talk.say("Still there?")
    talk.caption("model", "You wrote: Still there?")
    talk.expect_state("listening")
    talk.talk.click()
    talk.expect_state("ended")
    talk.talk.click()
    talk.expect_notice("network")
    expect(talk.notice).to_contain_text("The service cannot be reached")
    service.broker.__enter__()
    talk.page.get_by_role("button", name="Try again").click()
    talk.expect_state("listening")
    talk.page.click("#mute")


# ---- visits of their own ---------------------------------------------------------------------------------


def test_slow_network_hint_lasts_as_long_as_the_slowness(
    visit: Visits, service: Site, wire: tuple[StandIn, Wire]
) -> None:
    _, line = wire
    demo = visit(service.broker.url)
    demo.enter()
    demo.start()
    line.clog()
    try:
        # Fill the system's own buffers, which the page cannot see.
        fill = "message.value = '/help' + ' '.repeat(5_000_000) + '.'; compose.requestSubmit()"
        demo.page.evaluate(fill)
        hint(demo, "The network is slow. The assistant hears you with a delay.")
    finally:
        line.free()
    expect(demo.page.locator("#hint")).to_be_hidden(timeout=40_000)


def test_blocked_account_is_shown_at_start_and_at_sign_in(visit: Visits, service: Site) -> None:
    demo = visit(service.broker.url)
    demo.visit()
    demo.sign_in("bert")
    demo.expect_state("idle")
    service.broker.block_admin.block("bert")
    demo.talk.click()
    demo.expect_state("error")
    demo.expect_notice("account-blocked")
    expect(demo.notice).to_contain_text("Your account is blocked")
    expect(demo.notice.get_by_role("button")).to_have_count(0)
    demo.page.click("#sign-out")
    demo.sign_in("bert")
    expect(demo.page.locator("#sign-in-error")).to_contain_text("Your account is blocked")
