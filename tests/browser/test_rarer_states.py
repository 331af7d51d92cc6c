"""States of the demo page that a visit seldom shows: ways to sign in, checks, large tiles, and rarer errors.

They are checked as in test_every_state.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from broker.standin import StandIn
from tests.browser.demo_page import Visits
from tests.browser.look import Look
from tests.conftest import MakeBroker
from tests.docs.dev_broker import dev_broker
from tests.support.provider import ProviderProcess, entry

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize(
        "in_full",
        [
            pytest.param(False, id="few windows"),
            pytest.param(True, id="all forms", marks=pytest.mark.release),
        ],
    ),
]

CLIENTS = {"local": {"token_endpoint_auth_method": "none"}}
OPTIONS = """
[guests]
enabled = true
"""
LINES = ["Is there snow in the mountains?", "/long 2", "/search snow in the mountains", "And on Sunday?"]
BLOCK_MICROPHONE = """() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'));
}"""


def test_first_contact(visit: Visits, tmp_path: Path, in_full: bool) -> None:
    with dev_broker(tmp_path) as url:
        demo = visit(url, bypass_csp=True)
        look = Look(demo, in_full=in_full)
        demo.visit()
        look("first-contact", "signed-out")
    assert look.faults == {}


def test_rarer_states_are_accessible_and_fit_the_window(
    visit: Visits, standin: StandIn, make_broker: MakeBroker, in_full: bool
) -> None:
    with ProviderProcess(CLIENTS) as provider:
        toml = OPTIONS + entry("local", provider.issuer, label="Example Company")
        broker = make_broker(standin.url, toml=toml)
    broker.add_user("ada")
    demo = visit(broker.url, bypass_csp=True)
    look = Look(demo, in_full=in_full)
    page = demo.page

    demo.visit()
    look("sign-in-options", "signed-out")
    demo.sign_in("ada")
    demo.expect_state("idle")
    page.click("#check-first")
    expect(page.locator("#check-result")).to_have_text("Your microphone works.")
    look("microphone-check", "idle")
    page.keyboard.press("Escape")

    for line in LINES:
        demo.say(line)
        demo.caption("user", line)
        demo.expect_state("listening")
    demo.caption("model", f"You wrote: {LINES[-1]}")
    page.click("#record")
    look("typed-and-recording", "listening", page.get_by_text("Recording on this device").is_visible)
    with page.expect_download():
        page.click("#record")
    page.get_by_role("button", name="Enlarge transcript").click()
    look("large-transcript", "listening")
    page.evaluate("document.getElementById('scroll').scrollTop = 0")
    page.get_by_role("button", name="Shrink transcript").click()
    page.click("#camera")
    page.get_by_role("button", name="Enlarge video").click()
    look("large-video", "listening", lambda: page.evaluate("preview.currentTime > 0.2"))
    page.click("#camera")
    page.click("#developer > summary")
    page.get_by_text("Events", exact=True).click()
    page.locator("#developer .events summary").first.click()
    look("developer-events", "listening")
    page.keyboard.press("Escape")
    page.context.set_offline(True)
    expect(page.locator("#hint")).to_contain_text("You are offline.", timeout=40_000)
    look("offline-in-a-conversation", "reconnecting")
    page.context.set_offline(False)
    expect(page.locator("#hint")).to_be_hidden(timeout=40_000)
    page.click("#end")
    look("card-after-the-call", "ended", page.get_by_text("Your conversation").is_visible)

    page.evaluate(BLOCK_MICROPHONE)
    demo.talk.click()
    demo.expect_notice("permission-denied")
    look("microphone-blocked", "error")
    broker.block_admin.block("ada")
    demo.say("Hello")
    demo.expect_notice("account-blocked")
    look("account-blocked", "error")
    assert look.faults == {}, "\n".join(f"{n}: {f}" for n, fs in look.faults.items() for f in fs)
