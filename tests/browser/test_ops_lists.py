"""The operators' page: sign-in, service keys, lists and the audit trail."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Request, Route, expect

from tests.browser.demo_page import Site
from tests.browser.ops_page import OpsPage, request_tokens
from tests.browser.support import wait_for

HOSTILE = '<img src=x onerror="globalThis.hacked=1"><b>&amp;</b>'
FAST = 40_000


def test_only_operators_can_sign_in(ops: OpsPage) -> None:
    ops.visit()
    ops.sign_in("alice")
    error = ops.page.locator("#sign-in-error")
    expect(error).to_contain_text("alice, who does not have the operator role")
    ops.page.keyboard.press("Escape")
    ops.page.keyboard.press("Escape")
    expect(ops.page.locator("#sign-in-dialog")).to_be_visible()
    expect(ops.view).to_be_empty()
    ops.page.reload()
    expect(error).to_contain_text("alice, who does not have the operator role")
    ops.sign_in("olga")
    expect(ops.heading).to_have_text("Overview")
    ops.page.get_by_role("button", name="Sign out").click()
    expect(ops.page.locator("#sign-in-dialog")).to_be_visible()
    expect(ops.view).to_be_empty()
    assert ops.page.request.get(f"{ops.url.removesuffix('/ops')}/me").status == 401


def test_new_key_is_shown_once_and_a_revoked_key_is_rejected(ops: OpsPage, site: Site) -> None:
    ops.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ops.enter("keys")
    ops.page.get_by_role("button", name="Create key").click()
    ops.dialog.get_by_label("Name").fill("Not a name!")
    ops.dialog.get_by_role("button", name="Create key").click()
    expect(ops.dialog.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    ops.dialog.get_by_label("Name").fill("kiosk")
    ops.dialog.get_by_label("On behalf of").fill("kiosk:*")
    ops.dialog.get_by_role("button", name="Create key").click()
    key = ops.page.get_by_label("The key", exact=True).input_value()
    assert key.startswith("lbk_")
    expect(ops.dialog.get_by_role("heading")).to_have_text("Key kiosk created")
    assert f"X-API-Key: {key}" in ops.page.get_by_label("How to use it").input_value()
    copy = ops.dialog.get_by_role("button", name="Copy key", exact=True)
    expect(copy).to_be_focused()
    copy.click()
    expect(ops.dialog.get_by_text("Copied.")).to_be_visible()
    assert ops.page.evaluate("navigator.clipboard.readText()") == key
    ops.dialog.get_by_role("button", name="Close").click()
    expect(ops.page.locator("#view tbody tr").filter(has_text="kiosk")).to_contain_text("kiosk:*")
    assert key not in ops.kept()
    with site.broker.client() as client:
        asked: dict[str, Any] = {
            "headers": {"X-API-Key": key},
            "json": {"on_behalf_of": "kiosk:1", "client": {"app": HOSTILE}},
        }
        assert client.post("/token", **asked).status_code == 200
        ops.page.get_by_role("button", name="Revoke the key kiosk").click()
        ops.dialog.get_by_role("button", name="Revoke key").click()
        expect(ops.page.get_by_text("Revoked", exact=True)).to_be_visible()
        assert client.post("/token", **asked).status_code == 401


def test_text_from_other_people_is_never_markup(ops: OpsPage, site: Site) -> None:
    """Reasons, client fields, and their copies in the audit trail."""
    site.broker.block_admin.block("dave", reason=HOSTILE)
    site.broker.block_admin.block_issuer("live-broker:guest", reason=HOSTILE)
    assert request_tokens(site.broker, "erin", 1, client={"app": HOSTILE, "platform": HOSTILE}) == [200]
    ops.enter("blocks")
    expect(ops.view.get_by_text(HOSTILE).first).to_be_visible()
    ops.go("Audit trail")
    expect(ops.view.get_by_text(HOSTILE).first).to_be_visible()
    for name in ("dave", "erin"):
        ops.open_user(name)
        expect(ops.view.get_by_text(HOSTILE).first).to_be_visible()
    ops.page.goto(f"{ops.url}#/{HOSTILE}")
    expect(ops.heading).to_have_text("Overview")
    assert ops.page.evaluate("globalThis.hacked") is None
    assert ops.page.locator("#view :is(img, b:has-text('&'))").count() == 0
    site.broker.block_admin.unblock("dave")


def test_typing_sends_one_request_and_drops_late_responses(ops: OpsPage) -> None:
    asked: list[str] = []
    held: list[Route] = []
    ops.enter("users")
    expect(ops.page.get_by_role("link", name="alice", exact=True)).to_be_visible()

    def hold(route: Route) -> None:
        asked.append(route.request.url)
        if "query=bo&" in f"{route.request.url}&":
            held.append(route)
        else:
            route.continue_()

    ops.page.route("**/admin/users?*", hold)
    search = ops.page.get_by_label("Search")
    search.press_sequentially("bo", delay=20)
    wait_for("the first question", lambda: held or ops.page.evaluate("0"))
    search.press_sequentially("b", delay=20)
    expect(ops.page.locator("#view tbody tr")).to_have_count(1)
    expect(ops.page.get_by_role("link", name="bob", exact=True)).to_be_visible()
    assert len(asked) == 2
    assert held[0].request.failure is not None, "the page has not given it up"


def test_session_list_refreshes_without_losing_the_focus(ops: OpsPage, site: Site) -> None:
    assert request_tokens(site.broker, "demo", 2) == [200, 200]
    ops.enter("sessions")
    ops.page.get_by_label("Filter").fill("demo")
    rows = ops.page.locator("#view tbody tr")
    expect(rows).to_have_count(2)
    first = rows.nth(1).get_by_role("button", name="End")
    first.focus()
    with site.broker.client("demo") as client:
        client.post(f"/sessions/{first.get_attribute('data-session')}/end", json={})
        assert client.post("/token", json={}).status_code == 200
    expect(rows).to_have_count(
        3, timeout=FAST
    )  # the new one above, and the ended one is still held by the focus
    expect(rows.filter(has_text="Ended")).to_have_count(1)
    expect(ops.page.get_by_label("Filter")).to_have_value("demo")


def test_audit_trail_is_filtered_and_paged(ops: OpsPage, site: Site) -> None:
    for number in range(30):
        for _ in (1, 2):
            site.broker.block_admin.block("dave", reason=f"round {number}")
            site.broker.block_admin.unblock("dave")
    ops.enter("audit")
    rows = ops.page.locator("#view tbody tr")
    action = ops.page.get_by_label("Action", exact=True)
    action.select_option("user.block")
    expect(rows).to_have_count(50)
    ops.page.get_by_role("button", name="Show more").click()
    wait_for("the next page", lambda: rows.count() >= 60)
    ops.page.get_by_role("button", name="Clear").click()
    ops.page.get_by_role("button", name="user.unblock").first.click()
    expect(action).to_have_value("user.unblock")
    expect(rows.filter(has_not_text="user.unblock")).to_have_count(0)


def test_page_sends_requests_to_its_broker_only(ops: OpsPage, site: Site) -> None:
    asked: list[Request] = []
    ops.page.on("request", lambda request: asked.append(request))
    ops.enter()
    for tab in ("Live sessions", "Users", "Service keys", "Blocks", "Audit trail"):
        ops.go(tab)
    assert {request.url.startswith(f"{site.broker.url}/") for request in asked} == {True}
    policy = ops.page.request.get(ops.url).headers["content-security-policy"]
    assert "connect-src 'self';" in policy
    assert "unsafe" not in policy
    html = ops.page.request.get(ops.url).text()
    assert re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|<style", html) is None
    assert ops.page.request.get(ops.url).headers["cache-control"] == "no-store"
    assert "correct horse" not in ops.kept()
