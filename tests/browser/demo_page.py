"""The demo page as a person uses it, for the tests of the page and its pictures.

Owns: a browser context per visit, and the record of what must never happen in it (errors in the console,
broken rules of the content security policy). Needs a running broker. Leaves what should happen to the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.servers import PASSWORD, BrokerServer

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# The browser's own line about an answer such as 401, which the tests bring about on purpose.
NETWORK_NOTE = re.compile(r"^Failed to load resource: ")
# Tokens of the service, and JSON Web Tokens such as our own bearers.
TOKEN_LIKE = re.compile(r"auth_tokens|eyJ[\w-]{8}")

WATCH_POLICY = """
    globalThis.violations = [];
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
        violations.push(`${violatedDirective} ${blockedURI}`);
    });
"""

RING_REACH = """() => {
    const canvas = document.getElementById('ring');
    const { width, height } = canvas;
    const scale = width / canvas.clientWidth;
    const rest = (document.getElementById('talk').offsetWidth / 2 + 11 + 7 + 3) * scale;
    const often = { willReadFrequently: true };
    const copy = new OffscreenCanvas(width, height).getContext('2d', often);
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    let outside = 0;
    for (let i = 0; i < width * height; i += 1) {
        const from = Math.hypot((i % width) - width / 2, Math.floor(i / width) - height / 2);
        if (data[i * 4 + 3] > 0 && from > rest) outside += 1;
    }
    return outside;
}"""


@dataclass(frozen=True)
class Site:
    """A broker as it runs in production, and the stand-in behind it: of these tests alone."""

    standin: StandIn
    broker: BrokerServer


@contextmanager
def site(make_broker: MakeBroker) -> Iterator[Site]:
    with StandIn(port=0) as standin:
        broker = make_broker(standin.url)
        broker.add_user("demo")
        yield Site(standin, broker)


class DemoPage:
    """One visit. `page` is Playwright's; the rest are the things that a person sees and does."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.console: list[str] = []
        self.faults: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.add_init_script(WATCH_POLICY)
        self.status = page.locator("#status")
        self.talk = page.locator("#talk")
        self.notice = page.locator("#notice")
        self.captions = page.locator("#captions")

    def _hear(self, message: ConsoleMessage) -> None:
        self.console.append(message.text)
        if message.type in ("error", "warning") and not NETWORK_NOTE.match(message.text):
            self.faults.append(message.text)

    def visit(self) -> None:
        self.page.goto(self.url)
        expect(self.page.locator("#sign-in")).to_be_visible()

    def sign_in(self, username: str = "demo", password: str = PASSWORD) -> None:
        self.page.fill("#username", username)
        self.page.fill("#password", password)
        self.page.click("#sign-in-submit")

    def enter(self) -> None:
        """To the Talk button, ready."""
        self.visit()
        self.sign_in()
        self.expect_state("idle")

    def start(self) -> None:
        """Into a spoken conversation."""
        self.talk.click()
        self.expect_state("listening")

    def say(self, text: str) -> None:
        self.page.fill("#message", text)
        self.page.click("#send")

    def expect_state(self, *states: str) -> None:
        wanted = re.compile(f"^({'|'.join(states)})$")
        try:
            expect(self.status).to_have_attribute("data-state", wanted, timeout=15_000)
        except AssertionError as fault:
            told = self.notice.get_attribute("data-code")
            raise AssertionError(f"wanted {states}; the page tells {told}") from fault

    def expect_notice(self, code: str) -> None:
        expect(self.notice).to_be_visible(timeout=15_000)
        expect(self.notice).to_have_attribute("data-code", code)

    def caption(self, role: str, text: str | re.Pattern[str]) -> None:
        """There is a turn of this voice with this text."""
        turns = self.captions.locator(f"[data-role={role}] .words")
        expect(turns.filter(has_text=text).first).to_be_visible(timeout=15_000)

    def ring_reach(self) -> int:
        """How many painted pixels of the ring lie clearly outside of its resting circles."""
        return int(self.page.evaluate(RING_REACH))

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    def kept(self) -> str:
        """All that the page leaves where others could find it: address, storage, document, console."""
        stored = self.page.evaluate(
            """async () => JSON.stringify([
                location.href, history.state, document.cookie, {...localStorage}, {...sessionStorage},
                await indexedDB.databases(), await caches.keys(), name, document.documentElement.outerHTML,
            ])"""
        )
        return "\n".join([str(stored), *self.console])

    def close(self) -> None:
        self.faults += self.page.evaluate("globalThis.violations ?? []")
        self.page.context.close()


class Visits:
    """Opens pages, and closes them again."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.opened: list[DemoPage] = []

    def __call__(self, url: str, inside: Browser | None = None, **options: Any) -> DemoPage:
        context = (inside or self._browser).new_context(**{"viewport": DESKTOP, **options})
        demo = DemoPage(context.new_page(), url)
        self.opened.append(demo)
        return demo


@contextmanager
def visits(browser: Browser) -> Iterator[Visits]:
    """Afterwards no visit has had a fault."""
    opening = Visits(browser)
    yield opening
    for demo in opening.opened:
        demo.close()
    if faults := [fault for demo in opening.opened for fault in demo.faults]:
        raise AssertionError("the page had faults:\n" + "\n".join(faults))
