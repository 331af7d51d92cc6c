"""An operator suspends new tokens on /ops and resumes them. The banner shows it above every tab."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.demo_page import Site
from tests.browser.ops_page import OpsPage, request_tokens


def test_operator_suspends_and_resumes_new_tokens(ops: OpsPage, site: Site) -> None:
    banner = ops.page.locator("#suspension")
    try:
        ops.enter()
        expect(banner).to_be_hidden()
        ops.page.get_by_role("button", name="Suspend new tokens").click()
        ops.dialog.get_by_role("button", name="Suspend", exact=True).click()
        expect(ops.dialog).to_be_visible()  # the reason is required
        ops.page.get_by_label("Reason").fill("The voice service is down.")
        ops.dialog.get_by_role("button", name="Suspend", exact=True).click()
        ops.announced("New tokens are suspended.")
        expect(banner).to_contain_text("New tokens are suspended for all profiles. Open sessions continue.")
        expect(banner).to_contain_text("Reason: The voice service is down. · by live-broker:olga")
        assert request_tokens(site.broker, "alice", 2) == [503, 503]
        ops.go("Users")
        expect(banner).to_be_visible()
        assert violations(ops.page) == []
        banner.get_by_role("button", name="Resume").click()
        ops.dialog.get_by_role("button", name="Resume").click()
        ops.announced("New tokens are available again.")
        expect(banner).to_be_hidden()
        assert request_tokens(site.broker, "alice", 1) == [200]
    finally:
        site.broker.command("resume")  # other tests share this broker
