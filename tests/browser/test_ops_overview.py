"""The overview says what is wrong and what to do, and leads from each number to the rows behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from broker.standin import StandIn
from broker.store.database.tables import sessions
from tests.browser.axe import violations
from tests.browser.ops_page import OpsPage, OpsVisits, request_tokens
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

PLAN = """
[plans.narrow]
rate = "3/minute"
sessions = 2
minutes_per_day = 60
session_minutes = 30
"""


@pytest.fixture(scope="module")
def full(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    """A broker whose three places are taken, an hour after its first start."""
    broker = make_broker(standin.url, toml=PLAN, project_sessions=3)
    broker.add_user("olga", roles=["operator"])
    for name in ("alice", "bob"):
        broker.add_user(name)
    broker.add_user("nat", plan="narrow")
    assert request_tokens(broker, "alice", 3) == [200, 200, 200]
    with (
        broker.database.write() as store
    ):  # without a heartbeat they would keep their places for minutes only
        until = broker.database.now(store) + timedelta(hours=1)
        store.execute(update(sessions).values(held_until=until, ends_at=until))
    assert request_tokens(broker, "bob", 4) == [503] * 4
    assert set(request_tokens(broker, "nat", 25)) == {429, 503}
    return broker


@pytest.fixture
def ops(visit_ops: OpsVisits, full: BrokerServer) -> OpsPage:
    # The policy forbids eval, which the accessibility checker needs.
    return visit_ops(full.url, bypass_csp=True)


def test_full_project_is_a_problem_with_its_remedy(ops: OpsPage) -> None:
    ops.enter()
    strip = ops.page.get_by_role("region", name="Attention")
    problem = strip.locator("[data-level=bad]")
    expect(problem).to_contain_text(
        re.compile(r"3 of 3 places taken, \d+ requests refused in the last hour\.")
    )
    expect(problem).to_contain_text("Raise sessions under [project] in broker.toml")
    expect(ops.page.get_by_label("Last hour")).to_be_checked()  # the data is younger than a day
    assert violations(ops.page) == []
    problem.get_by_role("link", name="Refusals").click()
    expect(ops.heading).to_have_text("Audit trail")
    expect(ops.page.get_by_role("radio", name="Refusals")).to_be_checked()
    expect(ops.page.get_by_label("Outcome")).to_have_value("project-capacity")
    rows = ops.page.locator("#view tbody tr")
    expect(rows.first).to_contain_text("project-capacity")
    expect(rows.filter(has_not_text="project-capacity")).to_have_count(0)


def test_tile_chart_and_list_show_the_same_numbers(ops: OpsPage, full: BrokerServer) -> None:
    ops.enter()
    tiles = ops.page.locator(".tile")
    expect(tiles.nth(0)).to_contain_text(re.compile("^Open sessions3 of 3"))
    charged = tiles.filter(has_text="Minutes charged, last hour")
    expect(charged).to_contain_text(re.compile(r"45 \d+ talked"))
    expect(ops.page.locator(".totals")).not_to_contain_text(re.compile(r"\b45\b(?! ms)"))
    chart = ops.page.get_by_role("slider", name="Open sessions")
    expect(chart).to_have_attribute("aria-valuetext", re.compile("Open sessions 3$"))
    bars = ops.page.get_by_role("region", name="Minutes by user").get_by_role("row", name="alice")
    expect(bars.get_by_role("cell").nth(1)).to_have_text("45")
    tiles.nth(0).click()
    expect(ops.heading).to_have_text("Live sessions")
    expect(ops.page.locator("#view tbody tr")).to_have_count(3)
    ops.go("Overview")
    tiles.filter(has_text="Minutes charged").click()
    expect(ops.heading).to_have_text("Users")
    expect(ops.page.locator("#view tbody tr").first).to_contain_text("45 of")


def test_bar_of_a_chart_leads_to_its_entries_with_mouse_and_keyboard(ops: OpsPage) -> None:
    ops.enter()
    chart = ops.page.get_by_role("slider", name="Refusals")
    expect(ops.page.locator("path.column").first).to_be_visible()
    chart.focus()
    ops.page.keyboard.press("End")
    ops.page.keyboard.press("ArrowLeft")
    ops.page.keyboard.press("Enter")
    expect(ops.heading).to_have_text("Audit trail")
    assert ops.page.get_by_label(re.compile("^From")).input_value() != ""
    assert "kind=refusals&since=" in ops.page.url
    ops.page.go_back()
    expect(ops.heading).to_have_text("Overview")
    legend = ops.page.get_by_role("figure", name="Refusals")
    legend.get_by_role("link", name="project-capacity").click()
    expect(ops.page.get_by_label("Outcome")).to_have_value("project-capacity")
    ops.page.go_back()
    expect(ops.page.locator("path.column").first).to_be_visible()
    box = chart.bounding_box()
    assert box is not None
    ops.page.mouse.click(box["x"] + box["width"] - 14, box["y"] + 60)
    expect(ops.heading).to_have_text("Audit trail")


def answer_with(
    ops: OpsPage, full: BrokerServer, path: str, change: Callable[[dict[str, Any]], object]
) -> None:
    """Answers a route with what the broker answers now, after one change."""
    with full.client("olga") as client:
        content = client.get(f"/admin/{path}").json()
    change(content)
    ops.page.route(re.compile(rf"/admin/{path}(\?|$)"), lambda route: route.fulfill(json=content))


def test_nothing_wrong_is_one_quiet_line(ops: OpsPage, full: BrokerServer) -> None:
    def calm(content: dict[str, Any]) -> None:
        content["project"]["sessions"]["open"] = 1
        content["last_hour"] = {"refusals": {}, "most_refused": []}

    answer_with(ops, full, "overview", calm)
    ops.enter()
    expect(ops.page.get_by_role("region", name="Attention")).to_have_text("Nothing needs attention.")


def test_ended_session_that_holds_a_place_says_when_it_is_free(ops: OpsPage, full: BrokerServer) -> None:
    answer_with(ops, full, "sessions", lambda content: content["sessions"][0].update(state="ended"))
    ops.enter("sessions")
    expect(ops.page.locator("#view tbody")).to_contain_text(re.compile(r"place free in \d+:\d\d"))
    expect(ops.page.locator("#sessions-summary")).to_contain_text("1 ended but still holding a place")


def test_day_is_the_first_range_once_there_is_a_day_of_data(ops: OpsPage, full: BrokerServer) -> None:
    first = {"first_session_at": "2026-01-01T00:00:00Z"}
    answer_with(ops, full, "overview", lambda content: content.update(first))
    ops.enter()
    expect(ops.page.get_by_label("Last day")).to_be_checked()
