"""What operators do: end and block, change several rows at once, unblock, export, and read changes."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path

from playwright.sync_api import Locator, expect

from broker.operators.limits import LimitAdmin
from tests.browser.axe import violations
from tests.browser.demo_page import Site
from tests.browser.ops_page import OpsPage, OpsVisits, request_tokens


def selected(ops: OpsPage) -> Locator:
    return ops.page.get_by_role("group", name="Selected rows")


def exported(ops: OpsPage) -> list[dict[str, str]]:
    with ops.page.expect_download() as download:
        ops.page.get_by_role("button", name="Export CSV").click()
    text = Path(download.value.path()).read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_end_and_block_leaves_nothing_to_start_again(visit_ops: OpsVisits, site: Site) -> None:
    assert request_tokens(site.broker, "dora", 1) == [200]
    ops = visit_ops(site.broker.url, bypass_csp=True)
    ops.enter("sessions")
    ops.page.get_by_role("button", name="End the session of dora").click()
    expect(ops.dialog).to_contain_text("can start another session at once")
    ops.dialog.get_by_label("Reason").fill("Reads aloud")
    assert violations(ops.page) == []
    ops.dialog.get_by_role("button", name="End and block").click()
    expect(ops.dialog.get_by_role("heading")).to_have_text("Session ended, dora blocked")
    ops.dialog.get_by_role("button", name="Close").click()
    with site.broker.client() as client:
        login = {"username": "dora", "password": "correct horse battery"}
        assert client.post("/auth/login", json=login).json()["code"] == "account-blocked"

    ops.go("Blocks")
    row = ops.page.locator("#view tbody tr").filter(has_text="dora")
    expect(row).to_contain_text("Reads aloud")
    site.broker.block_admin.block_token("live-broker", "token-8", reason="Leaked")
    ops.page.reload()
    for name in ("dora", "token-8"):
        ops.page.get_by_role("button", name=f"Unblock {name}").click()
        ops.dialog.get_by_role("button", name="Unblock").click()
        expect(ops.page.locator("#view tbody tr").filter(has_text=name)).to_have_count(0)
    assert request_tokens(site.broker, "dora", 1) == [200]


def test_several_sessions_and_users_at_once(visit_ops: OpsVisits, site: Site) -> None:
    for name in ("alice", "bob", "carol"):
        assert request_tokens(site.broker, name, 1) == [200]
        time.sleep(1.1)  # times have whole seconds
    ops = visit_ops(site.broker.url, bypass_csp=True)
    ops.enter("sessions")
    rows = ops.page.locator("#view tbody tr")
    ops.page.get_by_label("Sort by", exact=True).select_option("user")
    expect(rows.nth(0)).to_contain_text("alice")
    ops.page.get_by_role("button", name="Sort by Started").click()
    expect(rows.nth(0)).to_contain_text("carol")
    ops.page.get_by_role("checkbox", name="Select the session of alice").check()
    expect(selected(ops)).to_contain_text("1 selected")
    selected(ops).get_by_label("Select all").click()
    expect(selected(ops)).to_contain_text("3 selected")
    assert violations(ops.page) == []
    selected(ops).get_by_role("button", name="End").click()
    ops.dialog.get_by_role("button", name="Cancel").click()
    expect(selected(ops)).to_contain_text("3 selected")
    selected(ops).get_by_role("button", name="End").click()
    ops.dialog.get_by_role("button", name="End sessions").click()
    expect(ops.dialog.get_by_role("heading")).to_have_text("3 of 3 ended")
    ops.dialog.get_by_role("button", name="Close").click()
    expect(ops.page.get_by_text("No live sessions.")).to_be_visible()
    expect(ops.heading).to_be_focused()

    ops.go("Users")
    for name in ("bob", "carol"):
        ops.page.get_by_role("checkbox", name=f"Select {name}", exact=True).check()
    selected(ops).get_by_role("button", name="Set limits").click()
    ops.dialog.get_by_label("Minutes per day").fill("7")
    ops.dialog.get_by_role("button", name="Set limits").click()
    expect(ops.dialog.get_by_role("heading")).to_have_text("2 of 2 changed")
    ops.dialog.get_by_role("button", name="Close").click()
    ops.page.get_by_label("Sort by", exact=True).select_option("minutes")
    reached = rows.filter(has_text="limit reached")
    expect(reached).to_have_count(2)
    expect(rows.filter(has_text="bob")).to_contain_text("of 7")
    for name in ("bob", "carol"):
        LimitAdmin(site.broker.settings, site.broker.database, actor="tests").clear(name)


def test_exports_have_the_rows_of_the_view_and_start_no_formula(ops: OpsPage, site: Site) -> None:
    site.broker.block_admin.block("erin", reason='=HYPERLINK("http://evil.example")')
    site.broker.block_admin.unblock("erin")
    ops.enter("users")
    expect(ops.page.locator("#view tbody tr").first).to_be_visible()
    users = exported(ops)
    assert {"alice", "olga"} <= {row["subject"] for row in users}
    assert next(row for row in users if row["subject"] == "olga")["roles"] == "operator"
    assert users[0].keys() >= {"key", "minutes_today", "limits.minutes_per_day", "overrides.plan"}
    ops.go("Audit trail")
    ops.page.get_by_label("Action", exact=True).select_option("user.block")
    expect(ops.page.locator("#view tbody tr").filter(has_not_text="user.block")).to_have_count(0)
    entries = exported(ops)
    assert {row["action"] for row in entries} == {"user.block"}
    assert "=HYPERLINK" in entries[0]["detail"]
    assert not [cell for row in entries for cell in row.values() if cell[:1] in set("=+-@")]
    ops.go("Overview")
    expect(ops.page.locator(".totals")).to_contain_text("Last hour")
    steps = exported(ops)
    assert len(steps) == 60
    assert steps[0].keys() >= {"at", "tokens", "open_sessions", "minutes", "charged_minutes"}


def test_audit_begins_with_changes_as_a_diff(visit_ops: OpsVisits, site: Site) -> None:
    limits = LimitAdmin(site.broker.settings, site.broker.database, actor="cli:root")
    limits.set("erin", {"sessions": 3})
    limits.set("erin", {"sessions": 4})
    limits.clear("erin")
    assert request_tokens(site.broker, "once", 2)[-1] == 429
    ops = visit_ops(site.broker.url, bypass_csp=True)
    ops.enter("audit")
    expect(ops.page.get_by_role("radio", name="Changes")).to_be_checked()
    row = ops.page.locator("#view tbody tr").filter(has_text="cli:root").nth(1)
    expect(row.locator("del")).to_have_text("before: 3")
    expect(row.locator("ins")).to_have_text("after: 4")
    expect(ops.page.locator("#view tbody")).not_to_contain_text("rate-limited")
    assert violations(ops.page) == []
    ops.page.get_by_text("Refusals", exact=True).click()
    expect(ops.page.locator("#view tbody")).to_contain_text("rate-limited")
    expect(ops.page.locator("#view tbody")).not_to_contain_text("cli:root")
    ops.page.reload()
    expect(ops.page.get_by_role("radio", name="Refusals")).to_be_checked()
    tops = ops.page.locator(".audit-filters .form-row").evaluate_all(
        "(rows) => rows.map((row) => Math.round(row.getBoundingClientRect().bottom))"
    )
    assert len(set(tops)) == 1, "the filters stand in one row"


def test_metrics_key_comes_with_its_prometheus_entry(ops: OpsPage, site: Site) -> None:
    ops.enter("keys")
    ops.page.get_by_role("button", name="Create key").click()
    ops.dialog.get_by_label("Name").fill("prometheus")
    for scope in ("token", "sessions", "read"):
        ops.dialog.get_by_role("checkbox", name=re.compile(f"^{scope} ")).uncheck()
    metrics = ops.dialog.get_by_role("checkbox", name=re.compile("^metrics "))
    expect(metrics).not_to_be_checked()
    metrics.check()
    ops.dialog.get_by_role("button", name="Create key").click()
    expect(ops.dialog.get_by_role("heading")).to_have_text("Key prometheus created")
    assert "scrape_configs:" in ops.page.get_by_label("How to use it").input_value()
    key = ops.page.get_by_label("The key", exact=True).input_value()
    with site.broker.client() as prometheus:
        assert prometheus.get("/metrics", headers={"X-API-Key": key}).status_code == 200


def test_role_is_given_and_taken(ops: OpsPage) -> None:
    ops.enter()
    ops.open_user("carol")
    ops.page.get_by_role("button", name="Make operator").click()
    ops.dialog.get_by_role("button", name="Make operator").click()
    expect(ops.view.get_by_text("Operator", exact=True)).to_be_visible()
    ops.page.get_by_role("button", name="Remove operator role").click()
    ops.dialog.get_by_role("button", name="Remove role").click()
    expect(ops.view.get_by_text("Operator", exact=True)).to_have_count(0)


def test_whole_page_works_with_the_keyboard(ops: OpsPage, site: Site) -> None:
    """Each tab is reached with Tab and Enter. A row is selected, and its dialog opened and left."""
    assert request_tokens(site.broker, "alice", 1) == [200]
    keys = ops.page.keyboard
    ops.visit()
    expect(ops.page.locator("#sign-in-dialog")).to_contain_text("Operator sign-in")
    expect(ops.page.get_by_role("link", name="Demo page")).to_have_attribute("href", "/")
    expect(ops.page.get_by_role("link", name="API documentation")).to_have_attribute("href", "/docs")
    keys.type("olga")
    keys.press("Tab")
    keys.type("correct horse battery")
    keys.press("Enter")
    expect(ops.heading).to_have_text("Overview")
    for tab in ("Users", "Service keys", "Blocks", "Audit trail", "Live sessions"):
        back = "Tab" if tab == "Users" else "Shift+Tab"
        ops.tab_to(ops.page.get_by_role("navigation").get_by_role("link", name=tab), key=back)
        keys.press("Enter")
        expect(ops.heading).to_have_text(tab)
        expect(ops.heading).to_be_focused()
    box = ops.page.get_by_role("checkbox", name="Select the session of alice")
    expect(box).to_be_visible()
    ops.tab_to(box)
    keys.press("Space")
    expect(selected(ops)).to_contain_text("1 selected")
    ops.tab_to(ops.page.get_by_role("button", name="End the session of alice"))
    keys.press("Enter")
    expect(ops.dialog).to_be_visible()
    keys.press("Escape")
    expect(ops.page.get_by_role("button", name="End the session of alice")).to_be_focused()
    expect(box).to_be_checked()


def test_usage_of_any_days_is_downloaded(visit_ops: OpsVisits, site: Site) -> None:
    assert request_tokens(site.broker, "erin", 1) == [200]
    ops = visit_ops(site.broker.url, bypass_csp=True)
    ops.enter()
    ops.page.get_by_role("button", name="Export usage").click()
    assert violations(ops.page) == []
    first, last = ops.dialog.get_by_label("First day"), ops.dialog.get_by_label("Last day")
    today = last.input_value()
    last.fill("2001-01-01")
    ops.dialog.get_by_role("button", name="Export").click()
    expect(first).to_have_attribute("aria-invalid", "true")
    last.fill(today)
    ops.dialog.get_by_label("One row for each").select_option(label="User")
    with ops.page.expect_download() as download:
        ops.dialog.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename.startswith("usage-user-")
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert [row["sessions"] for row in rows if row["subject"] == "erin"] == ["1"]
    ops.announced("The export has started.")
