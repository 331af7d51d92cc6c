"""The operators' page as a person uses it. Visits record what must never happen, as on the demo page."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.demo_page import DemoPage, PageVisits
from tests.support.servers import PASSWORD, BrokerServer


class OpsPage(DemoPage):
    """One visit, by an operator."""

    def __init__(self, page: Page, url: str) -> None:
        super().__init__(page, f"{url}/ops")
        self.view = page.locator("#view")
        self.heading = page.locator("#view h1")
        self.dialog = page.locator("dialog.action-dialog")
        self.fault = page.locator("#view > div > .error-box")

    def enter(self, view: str = "overview", name: str = "olga") -> None:
        """Opens a view for an operator who is signed in already."""
        self.take_sign_in(name)
        self.page.goto(f"{self.url}#/{view}")
        expect(self.heading).to_be_visible(timeout=40_000)
        expect(self.page.locator("#sign-in-dialog")).to_be_hidden()

    def sign_in(self, username: str = "olga", password: str = PASSWORD) -> None:
        super().sign_in(username, password)

    def go(self, tab: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=tab, exact=True).click()
        expect(self.heading).to_have_text(tab)

    def open_user(self, name: str) -> None:
        """Finds the user in the list and opens their page."""
        self.go("Users")
        self.page.get_by_label("Search").fill(name)
        self.page.get_by_role("link", name=name, exact=True).click()
        expect(self.heading).to_have_text(name)
        expect(self.limit("Sessions at once")).to_be_visible()

    def limit(self, label: str) -> Locator:
        """The switch that overrides a limit."""
        return self.page.get_by_role("switch", name=f"{label}: override")

    def override(self, label: str, value: str) -> None:
        """Types an override of a limit, without saving it."""
        self.limit(label).check()
        self.page.get_by_label(label, exact=True).fill(value)

    def save(self) -> None:
        self.page.get_by_role("button", name="Save limits").click()

    def announced(self, text: str | re.Pattern[str]) -> None:
        """Waits until screen readers get this text."""
        expect(self.page.locator("#announcer").get_by_text(text).first).to_be_attached()

    def tab_to(self, target: Locator, most: int = 40, key: str = "Tab") -> None:
        """Moves the focus to an element with the Tab key alone; backwards with `key="Shift+Tab"`."""
        for _ in range(most):
            self.page.keyboard.press(key)
            if target.evaluate("(target) => target === document.activeElement"):
                return
        raise AssertionError(f"Tab does not lead to {target}")


OpsVisits = PageVisits[OpsPage]


def beat_faster(page: Page, seconds: int = 1) -> None:
    """Shortens the time between heartbeats in the broker's responses. Everything else stays as it is."""

    def shorten(route: Route) -> None:
        answer = route.fetch()
        content = answer.json()
        if "session" in content:
            content["session"]["heartbeat_seconds"] = seconds
        route.fulfill(response=answer, json=content)

    page.route("**/token", shorten)


def request_tokens(broker: BrokerServer, name: str, times: int = 6, **body: Any) -> list[int]:
    """The statuses of requests on separate connections, so that every worker is asked."""
    statuses = []
    for _ in range(times):
        with broker.client(name) as client:
            statuses.append(client.post("/token", json=body).status_code)
    return statuses
