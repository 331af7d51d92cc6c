"""What real services, devices and networks do to a conversation in Chromium: see docs/client.md."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from playwright.sync_api import Route, expect

from tests.browser.conftest import Service
from tests.browser.demo_page import DemoPage, Site, Visits
from tests.browser.support import Bench, wait_for

MALFORMED = Path(__file__).parents[1] / "js" / "malformed-frames.js"
SAMPLE = f"""
import {{ brokenAudio, garbage, mistyped }} from {json.dumps(MALFORMED.as_uri())};
const texts = [...mistyped.filter((_, n) => n % 9 === 0).map(({{ frame }}) => frame), ...brokenAudio]
  .map((frame) => JSON.stringify(frame))
  .concat(garbage.filter((one) => typeof one === 'string'))
  // The stand-in, like the service, ends a connection that answers calls which it never made.
  .filter((text) => !/goAway|unctionCall|novelty/.test(text));
console.log(JSON.stringify(texts));
"""
# Permission that nobody gives or refuses, until the test does.
UNANSWERED = """
    const usual = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const asked = new Promise((resolve) => { globalThis.allow = resolve; });
    navigator.mediaDevices.getUserMedia = async (wish) => { await asked; return usual(wish); };
    navigator.permissions.query = async () => ({ state: 'prompt' });
"""


def malformed_frames() -> list[str]:
    command = ["node", "--input-type=module", "--eval", SAMPLE]
    frames: list[str] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(frames) > 100
    return frames


def test_malformed_frames_end_nothing_and_are_counted(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    for text in malformed_frames():
        service.standin.control.push(raw=text)
    wait_for("the count", lambda: bench.diagnostics()["unreadable"] > 50)
    bench.say("are you still there?")
    service.standin.control.push(frame={"serverContent": {"outputTranscription": {"text": "Still here."}}})
    wait_for("an answer", lambda: "Still here." in json.dumps(bench.events("caption")))
    assert bench.events("error") == []
    assert bench.events("reconnecting") == []


def test_fault_in_the_worker_costs_a_connection(bench: Bench, service: Service) -> None:
    assert bench.start() is None
    wait_for("a handle", lambda: "newHandle" in str(service.standin.control.sent()["frames"]))
    (worker,) = bench.page.workers
    worker.evaluate("void setTimeout(() => { throw new Error('boom'); })")
    wait_for("the next connection", lambda: bench.events("reconnected"))
    assert "boom" in bench.events("reconnecting")[0]["detail"]["reason"]
    assert bench.events("error") == []
    bench.say("are you still there?")
    bench.wait_state("speaking")


def _asking(visit: Visits, site: Site) -> tuple[DemoPage, list[str]]:
    """A page whose browser asks for the microphone, and the addresses that it requests from then on."""
    demo = visit(site.broker.url)
    demo.page.add_init_script(UNANSWERED)
    demo.enter()
    requests: list[str] = []
    demo.page.context.on("request", lambda request: requests.append(request.url))
    demo.talk.click()
    expect(demo.status).to_have_text("Allow the microphone")
    return demo, requests


def _tokens(requests: list[str]) -> list[str]:
    return [url for url in requests if url.endswith("/token")]


def test_nothing_is_charged_while_the_browser_asks_for_the_microphone(visit: Visits, site: Site) -> None:
    demo, requests = _asking(visit, site)
    expect(demo.page.locator("#lead")).to_contain_text("Nothing is charged until you answer.")
    assert _tokens(requests) == []
    demo.page.evaluate("allow()")
    demo.expect_state("listening")
    assert len(_tokens(requests)) == 1


def test_cancel_while_the_browser_asks_costs_nothing(visit: Visits, site: Site) -> None:
    demo, requests = _asking(visit, site)
    demo.talk.click()
    demo.expect_state("idle")
    demo.page.evaluate("allow()")
    demo.say("hello")
    demo.expect_state("speaking")
    assert len(_tokens(requests)) == 1, "only that of the typed conversation"


def test_lost_end_is_told(visit: Visits, site: Site) -> None:
    demo = visit(site.broker.url)

    def block(route: Route) -> None:
        route.abort("blockedbyclient")

    demo.enter()
    demo.page.context.route("**/end", block)
    demo.start()
    demo.talk.click()
    demo.expect_notice("end-lost")


def test_push_to_talk_works_with_a_click_and_enter(demo: DemoPage) -> None:
    """A screen reader clicks; nobody can hold a click."""
    demo.enter()
    demo.start()
    demo.page.click("#settings summary")
    demo.page.check("#push-mode")
    demo.page.keyboard.press("Escape")
    push = demo.page.locator("#push")
    expect(push).to_be_visible()
    for press in ("button => button.click()", None):
        for pressed in ("true", "false"):
            if press:
                push.evaluate(press)
            else:
                push.focus()
                demo.page.keyboard.press("Enter")
            expect(push).to_have_attribute("aria-pressed", pressed)


def test_megabyte_of_transcript_stays_small_on_the_page(demo: DemoPage, site: Site) -> None:
    demo.enter()
    site.standin.control.scenario("mute")
    demo.start()
    words = "A long word. " * 20_000
    for n in range(4):
        content: dict[str, Any] = {"inputTranscription": {"text": f"{words}part {n}."}}
        site.standin.control.push(frame={"serverContent": content})
    expect(demo.captions.locator(".words").last).to_contain_text("part 3.")
    assert len(demo.captions.inner_text()) < 40_000
    assert demo.page.evaluate("document.body.textContent.length") < 150_000


def test_sources_show_their_host_and_odd_ones_are_left_out(demo: DemoPage, site: Site) -> None:
    demo.enter()
    site.standin.control.scenario("mute")
    demo.start()
    web = [
        {"uri": "https://evil.example/login", "title": "accounts.google.com"},
        {"uri": "https://google.com:pw@evil.example/", "title": "With a user"},
        {"uri": "https://example.org/" + "a" * 5000, "title": "Long"},
        {"uri": "https://example.org/a", "title": "\u202egpj.exe"},
        None,
    ]
    chunks = [{"web": one} for one in web]
    site.standin.control.push(frame={"serverContent": {"groundingMetadata": {"groundingChunks": chunks}}})
    card = demo.captions.locator("li.card", has_text="Sources")
    expect(card.locator("a")).to_have_count(2)
    expect(card).to_contain_text("accounts.google.comevil.example")
    assert "\u202e" not in card.inner_text()
