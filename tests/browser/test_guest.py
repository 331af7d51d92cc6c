"""Talking as a guest, in Chromium."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from broker.standin import StandIn
from tests.browser.demo_page import DemoPage, Site, visits
from tests.conftest import MakeBroker


def test_guest_can_talk_and_leave(browser: Browser, standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, toml='[guests]\nenabled = true\naddress_rate = "100/hour"\n')
    with visits(browser, DemoPage) as visit:
        demo = visit(broker.url)
        demo.visit()
        demo.page.get_by_role("button", name="Try without signing in").click()
        demo.expect_state("idle")
        demo.say("hello")
        demo.caption("user", "hello")
        demo.page.reload()
        demo.expect_state("idle")
        demo.page.click("#sign-out")
        expect(demo.page.locator("#sign-in")).to_be_visible()
        assert demo.page.context.cookies() == []
        assert "guest." not in demo.kept()


def test_guest_button_is_absent_when_guests_are_disabled(browser: Browser, site: Site) -> None:
    with visits(browser, DemoPage) as visit:
        demo = visit(site.broker.url)
        demo.visit()
        expect(demo.page.get_by_role("button", name="Try without signing in")).to_have_count(0)
