"""Talking without signing in, in Chromium, where the operator lets guests in."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from broker.standin import StandIn
from tests.browser.demo_page import Site, visits
from tests.conftest import MakeBroker


def test_a_guest_talks_and_leaves(browser: Browser, standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, toml='[guests]\nenabled = true\naddress_rate = "100/hour"\n')
    with visits(browser) as visit:
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


def test_nothing_is_offered_where_guests_are_off(browser: Browser, site: Site) -> None:
    with visits(browser) as visit:
        demo = visit(site.broker.url)
        demo.visit()
        expect(demo.page.get_by_role("button", name="Try without signing in")).to_have_count(0)
