"""What operators do with teams takes effect: limits, members, and an edit that another operator crossed."""

from __future__ import annotations

from playwright.sync_api import expect

from broker.operators.teams import TeamAdmin
from tests.browser.demo_page import Site
from tests.browser.ops_page import OpsPage, request_tokens


def test_limit_of_a_team_applies_to_its_members(ops: OpsPage, site: Site) -> None:
    for name in ("tess", "theo"):
        site.broker.add_user(name)
    ops.enter()
    for name in ("tess", "theo"):
        ops.open_user(name)
        ops.page.get_by_role("button", name="Set team").click()
        ops.dialog.get_by_label("Team").fill("choir")
        ops.dialog.get_by_role("button", name="Set team").click()
        expect(ops.page.get_by_role("link", name="choir")).to_be_visible()
    ops.go("Teams")
    ops.page.get_by_label("Search").fill("CHO")
    expect(ops.page.locator("#view tbody tr")).to_have_count(1)
    expect(ops.page.locator("#view tbody tr")).to_contain_text("2")
    ops.page.get_by_role("link", name="choir", exact=True).click()
    expect(ops.heading).to_have_text("choir")
    ops.override("Sessions at once", "1")
    ops.save()
    ops.announced("Saved. The new limits apply from the next request.")
    assert request_tokens(site.broker, "tess", 1) == [200]
    assert request_tokens(site.broker, "theo", 1) == [429]
    ops.page.reload()
    expect(ops.page.get_by_text("1 of 1: limit reached")).to_be_visible()


def test_edit_of_a_team_shows_what_another_operator_saved(ops: OpsPage, site: Site) -> None:
    admin = TeamAdmin(site.broker.settings, site.broker.database, actor="live-broker:oscar")
    admin.set("band", {"rate": "50/minute"})
    ops.enter("teams/band")
    ops.override("Minutes per day", "90")
    admin.set("band", {"rate": "60/minute"})
    ops.save()
    expect(ops.page.get_by_text("live-broker:oscar saved them")).to_be_visible()
    ops.page.get_by_role("button", name="Overwrite with mine").click()
    ops.announced("Saved. The new limits apply from the next request.")
    limits = admin.show("band").limits.limits
    assert (limits.rate, limits.minutes_per_day) == ("60/minute", 90)
