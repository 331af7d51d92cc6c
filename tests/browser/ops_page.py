"""The operators' page as a person uses it. Owns its visits; what must never happen in them is on record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.demo_page import DESKTOP, DemoPage
from tests.support.servers import PASSWORD


class OpsPage(DemoPage):
    """One visit, by an operator."""

    def __init__(self, page: Page, url: str) -> None:
        super().__init__(page, f"{url}/ops")
        self.view = page.locator("#view")
        self.heading = page.locator("#view h1")
        self.dialog = page.locator("dialog.action-dialog")
        self.fault = page.locator("#view > div > .error-box")

    def enter(self, view: str = "overview", name: str = "olga") -> None:
        self.page.goto(f"{self.url}#/{view}")
        self.sign_in(name)
        expect(self.page.locator("#sign-in-dialog")).to_be_hidden()
        expect(self.heading).to_be_visible()

    def sign_in(self, username: str = "olga", password: str = PASSWORD) -> None:
        super().sign_in(username, password)

    def go(self, tab: str) -> None:
        self.page.get_by_role("link", name=tab, exact=True).click()
        expect(self.heading).to_have_text(tab)

    def open_user(self, name: str) -> None:
        """Through the list, as one does."""
        self.go("Users")
        self.page.get_by_label("Search").fill(name)
        self.page.get_by_role("link", name=name, exact=True).click()
        expect(self.heading).to_have_text(name)
        expect(self.limit("Sessions at once")).to_be_visible()

    def limit(self, label: str) -> Locator:
        """The switch that gives a limit a value of its own."""
        return self.page.get_by_role("switch", name=f"{label}: override")

    def give(self, label: str, value: str) -> None:
        """Types a value of their own into a limit; not saved yet."""
        self.limit(label).check()
        self.page.get_by_label(label, exact=True).fill(value)

    def save(self) -> None:
        self.page.get_by_role("button", name="Save limits").click()

    def said(self, text: str | re.Pattern[str]) -> None:
        """A screen reader has been told."""
        expect(self.page.locator("#announcer").get_by_text(text).first).to_be_attached()

    def tab_to(self, target: Locator, most: int = 40) -> None:
        """With the Tab key alone; whatever has the focus shows it."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if target.evaluate("(target) => target === document.activeElement"):
                return
        raise AssertionError(f"Tab does not lead to {target}")


class OpsVisits:
    """Opens the page, for one operator each."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.opened: list[OpsPage] = []

    def __call__(self, url: str, **options: Any) -> OpsPage:
        context = self._browser.new_context(**{"viewport": DESKTOP, **options})
        self.opened.append(OpsPage(context.new_page(), url))
        return self.opened[-1]


@contextmanager
def ops_visits(browser: Browser) -> Iterator[OpsVisits]:
    """Afterwards no visit has had a fault."""
    opening = OpsVisits(browser)
    yield opening
    for ops in opening.opened:
        ops.close()
    if faults := [fault for ops in opening.opened for fault in ops.faults]:
        raise AssertionError("the page had faults:\n" + "\n".join(faults))


def beat_faster(page: Page, seconds: int = 1) -> None:
    """The broker's answers reach the page as they are, but for the half a minute between two heartbeats."""

    def hasten(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        if "session" in told:
            told["session"]["heartbeat_seconds"] = seconds
        route.fulfill(response=answer, json=told)

    page.route("**/token", hasten)
