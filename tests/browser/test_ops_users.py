"""What operators do with users takes effect: limits, blocks, ended sessions, new users."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from broker.operators.limits import LimitAdmin
from tests.browser.demo_page import Site, Visits
from tests.browser.ops_page import OpsPage, OpsVisits, beat_faster, request_tokens

FAST = 40_000


def test_edit_survives_a_new_sign_in(ops: OpsPage, site: Site) -> None:
    ops.enter()
    ops.open_user("dave")
    ops.override("Minutes per day", "44")
    site.broker.user_admin.sign_out("olga")
    ops.save()
    expect(ops.page.locator("#sign-in-error")).to_contain_text("What you typed is still there")
    ops.sign_in()
    expect(ops.page.get_by_label("Minutes per day", exact=True)).to_have_value("44")
    ops.save()
    ops.announced("Saved. The new limits apply from the next request.")
    ops.page.reload()
    expect(ops.page.get_by_label("Minutes per day", exact=True)).to_have_value("44")
    ops.limit("Minutes per day").uncheck()
    ops.save()
    expect(ops.page.get_by_text("Rule: plan default.", exact=True)).to_be_visible()


def test_limit_set_with_the_keyboard_alone_applies_to_next_request(ops: OpsPage, site: Site) -> None:
    assert request_tokens(site.broker, "bob", 2) == [200, 200]
    keys = ops.page.keyboard
    ops.visit()
    keys.type("olga")
    keys.press("Tab")
    keys.type("correct horse battery")
    keys.press("Enter")
    expect(ops.heading).to_have_text("Overview")
    ops.tab_to(ops.page.get_by_role("link", name="Users", exact=True))
    keys.press("Enter")
    expect(ops.heading).to_be_focused()
    ops.tab_to(ops.page.get_by_label("Search"))
    keys.type("bob")
    bob = ops.page.get_by_role("link", name="bob", exact=True)
    expect(ops.page.locator("#view tbody tr")).to_have_count(1)
    ops.tab_to(bob)
    keys.press("Enter")
    expect(ops.heading).to_have_text("bob")
    expect(ops.page.get_by_text("with the profile default")).to_be_visible()
    ops.tab_to(ops.limit("Sessions at once"))
    keys.press("Space")
    own = ops.page.get_by_label("Sessions at once", exact=True)
    expect(own).to_be_focused()
    keys.press("Control+A")
    keys.type("1")
    keys.press("Enter")
    ops.announced("Saved. The new limits apply from the next request.")
    assert request_tokens(site.broker, "bob") == [429] * 6
    expect(ops.page.get_by_text("too-many-sessions")).to_be_visible()
    expect(ops.page.get_by_text("override of sessions; otherwise plan default")).to_have_count(
        2
    )  # with the limits and with the next token


def test_budget_set_in_place_applies_to_next_request(ops: OpsPage, site: Site) -> None:
    ops.enter()
    ops.open_user("erin")
    ops.override("Budget per month", "0.001")
    ops.save()
    ops.announced("Saved. The new limits apply from the next request.")
    try:
        assert request_tokens(site.broker, "erin") == [429] * 6
        expect(ops.page.get_by_text("budget-exhausted")).to_be_visible()
        expect(ops.page.get_by_text("of 0.001 USD used")).to_be_visible()
        ops.override("Budget per month", "many")
        ops.save()
        expect(ops.page.get_by_text("does not match the required format")).to_be_visible()
    finally:  # other tests talk as erin
        LimitAdmin(site.broker.settings, site.broker.database, actor="tests").clear("erin")


def test_talkers_learn_at_next_heartbeat_that_they_were_ended_or_blocked(
    ops: OpsPage, visit: Visits, site: Site
) -> None:
    """Neither of them gets another token."""
    sessions, bearers = {}, {name: site.broker.bearer(name) for name in ("alice", "carol")}
    talkers = {name: visit(site.broker.url) for name in ("alice", "carol")}
    for name, talker in talkers.items():
        beat_faster(talker.page)
        talker.enter(name)
        talker.start()
        with site.broker.client(name) as client:
            sessions[name] = client.get("/me").json()["sessions"][0]["id"]

    ops.enter("sessions")
    ops.page.get_by_label("Filter").fill("alice")
    ops.page.get_by_role("button", name="End the session of alice").click()
    expect(ops.dialog).to_contain_text("A token cannot be revoked at Google")
    ops.dialog.get_by_role("button", name="End session").click()
    expect(ops.dialog).to_contain_text(re.compile(r"Google may accept its last token until .*\d\d:\d\d:\d\d"))
    ops.dialog.get_by_role("button", name="Close").click()
    # The row keeps the focus, so it stays.
    expect(ops.page.locator("#view tbody")).to_contain_text("Ended", timeout=FAST)
    expect(ops.page.get_by_role("button", name="End the session of alice")).to_be_hidden()
    talkers["alice"].expect_notice("ended-by-operator")
    expect(talkers["alice"].notice).to_contain_text("An operator ended this conversation.")
    expect(talkers["alice"].notice.get_by_role("button")).to_have_text(["Start again"])
    talkers["alice"].expect_state("ended", "error")

    ops.open_user("carol")
    ops.page.get_by_role("button", name="Block").click()
    ops.page.get_by_label("Reason").fill("Shared her password")
    ops.dialog.get_by_role("button", name="Block").click()
    expect(ops.dialog).to_contain_text(re.compile(r"Google may accept the last token until .*\d\d:\d\d:\d\d"))
    ops.dialog.get_by_role("button", name="Close").click()
    expect(ops.view).to_contain_text("Shared her password")
    expect(ops.page.get_by_label("Next token request")).to_contain_text("account-blocked")
    talkers["carol"].expect_notice("account-blocked")
    talkers["carol"].expect_state("ended", "error")

    for name, status in (("alice", 409), ("carol", 403)):
        statuses = set()
        for _ in range(6):
            with site.broker.client() as client:
                bearer = {"Authorization": f"Bearer {bearers[name]}"}
                renewal = client.post(f"/sessions/{sessions[name]}/token", headers=bearer, json={})
                statuses.add(renewal.status_code)
        assert statuses == {status}, name
    ops.page.get_by_role("button", name="Unblock").click()
    ops.dialog.get_by_role("button", name="Unblock").click()
    expect(ops.view.get_by_role("button", name="Block", exact=True)).to_be_visible()


def test_conflicting_edits_show_both_and_lose_nothing(visit_ops: OpsVisits, site: Site) -> None:
    first, second = visit_ops(site.broker.url), visit_ops(site.broker.url)
    first.enter()
    second.enter(name="oscar")
    for page in (first, second):
        page.open_user("erin")
    first.override("Sessions at once", "3")
    first.override("Minutes per session", "10")
    first.save()
    first.announced("Saved. The new limits apply from the next request.")

    second.override("Sessions at once", "7")
    second.save()
    conflict = second.page.get_by_role("alert").filter(has_text="Another operator changed these limits")
    expect(conflict).to_contain_text("live-broker:olga saved them at")
    expect(conflict.get_by_role("row", name="Sessions at once")).to_have_text(
        "Sessions at oncefrom the plan37"
    )
    expect(conflict.get_by_role("row", name="Minutes per session")).to_contain_text("unchanged")
    redo = second.page.get_by_role("button", name="Overwrite with mine")
    expect(redo).to_be_focused()
    redo.click()
    second.announced("Saved. The new limits apply from the next request.")
    expect(conflict).to_be_hidden()
    expect(second.page.get_by_label("Minutes per session", exact=True)).to_have_value("10")

    first.override("Sessions at once", "9")
    first.save()
    first.page.get_by_role("button", name="Keep theirs").click()
    expect(first.page.get_by_label("Sessions at once", exact=True)).to_have_value("7")


def test_add_user_shows_errors_next_to_their_field(ops: OpsPage, site: Site) -> None:
    ops.enter("users")
    ops.page.get_by_role("button", name="Add user").click()
    ops.dialog.get_by_label("Username").fill("frank")
    ops.dialog.get_by_label("Password").fill("short")
    ops.dialog.get_by_role("button", name="Add user").click()
    password = ops.dialog.get_by_label("Password")
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(password).to_be_focused()
    password.fill("correct horse battery")
    ops.dialog.get_by_role("button", name="Add user").click()
    expect(ops.heading).to_have_text("frank")
    assert request_tokens(site.broker, "frank", 1) == [200]


def test_errors_appear_next_to_what_failed_and_lose_nothing(ops: OpsPage) -> None:
    ops.enter()
    ops.open_user("erin")

    def refuse(route: Route) -> None:
        told = {
            "code": "store-unavailable",
            "status": 503,
            "detail": "x",
            "request_id": "r1",
            "retry_after_seconds": 2,
        }
        route.fulfill(status=503, json=told, content_type="application/problem+json")

    ops.page.route("**/limits", refuse)
    ops.override("Minutes per day", "12")
    ops.save()
    fault = ops.page.get_by_label("Limits").get_by_role("alert").filter(has_text="cannot reach its store")
    expect(fault).to_contain_text("Request ID r1")
    expect(ops.page.get_by_label("Minutes per day", exact=True)).to_have_value("12")
    ops.page.unroute("**/limits")
    ops.override("Minutes per day", "-4")
    ops.save()
    expect(ops.page.get_by_label("Minutes per day", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(ops.page.get_by_label("Limits").get_by_text("At least ")).to_be_visible()
    ops.override("Minutes per day", "12")
    ops.save()
    ops.announced("Saved. The new limits apply from the next request.")

    ops.page.route("**/admin/users*", refuse)
    ops.go("Users")
    again = ops.fault.get_by_role("button")
    expect(again).to_have_text(re.compile("Try again in 0:0[12]"))
    expect(again).to_be_disabled()
    ops.page.unroute("**/admin/users*")
    expect(again).to_be_enabled(timeout=FAST)
    again.click()
    expect(ops.page.get_by_role("link", name="erin", exact=True)).to_be_visible()
    expect(ops.fault).to_be_empty()
