"""The demo page as a person uses it, for the tests of the page and its screenshots.

Each visit has its own browser context. A visit records what must never happen: errors on the console and
violations of the content security policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx2
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from sqlalchemy import update

from broker.standin import StandIn
from broker.store.database.engine import Database
from broker.store.database.tables import sessions
from tests.browser import contexts
from tests.conftest import MakeBroker
from tests.support.servers import PASSWORD, BrokerServer

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# The browser's own message about a response such as 401, which the tests cause on purpose.
NETWORK_NOTE = re.compile(r"^Failed to load resource: ")
# Tokens of the service, and JSON Web Tokens such as our own bearers.
TOKEN_LIKE = re.compile(r"auth_tokens|eyJ[\w-]{8}")


def script(name: str) -> re.Pattern[str]:
    """Matches the address of a module that loads late, alone or as a file of the bundle."""
    return re.compile(rf"/{name}(-[A-Z0-9]{{8}})?\.js$")


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


# Plans of the shared broker, for tests about limits. Users of the same names have them.
PLANS = """
[plans.single]
rate = "100/minute"
sessions = 1
minutes_per_day = 600
session_minutes = 30
[plans.double]
rate = "100/minute"
sessions = 2
minutes_per_day = 600
session_minutes = 30
[plans.once]
rate = "1/minute"
sessions = 2
minutes_per_day = 60
session_minutes = 30
[plans.shipped]
rate = "100/minute"
sessions = 2
minutes_per_day = 60
session_minutes = 30
[plans.strict]
rate = "100/minute"
sessions = 1
minutes_per_day = 60
session_minutes = 30
forgiven_minutes_per_day = 0
[plans.pausing]
rate = "1/8 seconds"
sessions = 2
minutes_per_day = 600
session_minutes = 30
"""
OPERATORS = ("olga", "oscar")
PLAN_USERS = ("single", "double", "once", "shipped", "strict", "pausing")
USERS = ("demo", "alice", "bob", "carol", "dave", "dora", "erin")


@dataclass(frozen=True)
class Site:
    """A broker as it runs in production, with three workers, and the stand-in behind it."""

    standin: StandIn
    broker: BrokerServer

    def reset(self) -> None:
        """Removes every scenario and connection, ends every session and frees its place."""
        self.standin.control.reset()
        free_places(self.broker.database)


def free_places(database: Database) -> None:
    with database.write() as store:
        now = database.now(store)
        held = update(sessions).where(sessions.c.held_until > now)
        store.execute(held.values(state="ended", held_until=now))


@contextmanager
def running_site(make_broker: MakeBroker) -> Iterator[Site]:
    with StandIn(port=0) as standin:
        broker = make_broker(standin.url, toml=PLANS, workers=3)
        for name in USERS:
            broker.add_user(name)
        for name in PLAN_USERS:
            broker.add_user(name, plan=name)
        for name in OPERATORS:
            broker.add_user(name, roles=["operator"])
        yield Site(standin, broker)


_sign_ins: dict[tuple[str, str], dict[str, str]] = {}


def _sign_in(origin: str, username: str) -> dict[str, str]:
    """Returns the cookies of a sign-in. Tests share it until it ends, because each password check is slow."""
    shared = _sign_ins.get((origin, username), {})
    if httpx2.get(f"{origin}/me", cookies=shared, trust_env=False).status_code != 200:
        answer = httpx2.post(
            f"{origin}/auth/login",
            json={"username": username, "password": PASSWORD},
            trust_env=False,
            timeout=60,
        )
        answer.raise_for_status()
        shared = _sign_ins[origin, username] = dict(answer.cookies)
    return shared


class DemoPage:
    """One visit. `page` is Playwright's; the rest is what a person sees and does."""

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

    def enter(self, username: str = "demo") -> None:
        """Opens the page for a user who is signed in already. test_sign_in.py covers the form."""
        self.take_sign_in(username)
        self.page.goto(self.url)
        self.expect_state("idle")

    def take_sign_in(self, username: str) -> None:
        """Gives this browser context the cookies of a sign-in of the user."""
        origin = "/".join(self.url.split("/")[:3])
        cookies: Any = [
            {"name": name, "value": value, "url": origin, "httpOnly": True, "sameSite": "Lax"}
            for name, value in _sign_in(origin, username).items()
        ]
        self.page.context.add_cookies(cookies)

    def start(self) -> None:
        """Starts a spoken conversation."""
        self.talk.click()
        self.expect_state("listening")

    def say(self, text: str) -> None:
        self.page.fill("#message", text)
        self.page.click("#send")

    def expect_state(self, *states: str) -> None:
        wanted = re.compile(f"^({'|'.join(states)})$")
        try:
            expect(self.status).to_have_attribute("data-state", wanted, timeout=40_000)
        except AssertionError as fault:
            shown = self.notice.get_attribute("data-code")
            raise AssertionError(f"expected {states}; the page shows the error {shown}") from fault

    def expect_notice(self, code: str) -> None:
        expect(self.notice).to_be_visible(timeout=40_000)
        expect(self.notice).to_have_attribute("data-code", code)

    def caption(self, role: str, text: str | re.Pattern[str]) -> None:
        """Waits for a turn of this speaker with this text."""
        turns = self.captions.locator(f"[data-role={role}] .words")
        expect(turns.filter(has_text=text).first).to_be_visible(timeout=40_000)

    def ring_reach(self) -> int:
        """The number of painted pixels clearly outside the ring's resting circles."""
        return int(self.page.evaluate(RING_REACH))

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    def kept(self) -> str:
        """Everything the page leaves behind: URL, storage, document, console."""
        stored = self.page.evaluate(
            """async () => JSON.stringify([
                location.href, history.state, document.cookie, {...localStorage}, {...sessionStorage},
                await indexedDB.databases(), await caches.keys(), name, document.documentElement.outerHTML,
            ])"""
        )
        return "\n".join([str(stored), *self.console])


Kind = TypeVar("Kind", bound=DemoPage)


class PageVisits(Generic[Kind]):
    """Opens pages of one kind for one test, each for another person."""

    def __init__(self, browser: Browser, kind: type[Kind]) -> None:
        self._browser = browser
        self._kind = kind
        self._open: list[tuple[Kind, dict[str, Any]]] = []

    def __call__(self, url: str, inside: Browser | None = None, **options: Any) -> Kind:
        options = {"viewport": DESKTOP, **options}
        page = contexts.take(inside or self._browser, **options).new_page()
        self._open.append((self._kind(page, url), options))
        return self._open[-1][0]

    def close(self) -> None:
        """Raises AssertionError if any page had a fault."""
        faults: list[str] = []
        for visit, options in self._open:
            faults += visit.faults + visit.page.evaluate("globalThis.violations ?? []")
            contexts.give_back(visit.page.context, visit.url, **options)
        assert faults == []


Visits = PageVisits[DemoPage]


@contextmanager
def visits(browser: Browser, kind: type[Kind]) -> Iterator[PageVisits[Kind]]:
    """At the end it fails if any visit had a fault."""
    opening = PageVisits(browser, kind)
    yield opening
    opening.close()
