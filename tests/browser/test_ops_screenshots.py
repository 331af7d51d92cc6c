"""Screenshots of the operators' page after a day of traffic: `tests/artifacts/ops-…png`.

Each view must also follow WCAG 2.2 AA and fit its screen. The long form covers both sizes, both colour
schemes, forced colours, and views that are seldom seen.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from broker.operators.limits import LimitAdmin
from broker.operators.teams import TeamAdmin
from broker.standin import StandIn
from tests.browser import axe
from tests.browser.demo_page import DESKTOP, PHONE
from tests.browser.ops_page import OpsPage, OpsVisits, request_tokens
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer
from tests.support.traffic import make_traffic

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
SIZES = {"desktop": DESKTOP, "phone": PHONE}
COLOURS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced-colours": {"color_scheme": "light", "forced_colors": "active"},
}
TEAMS = """
[teams.sales]
rate = "100/minute"
sessions = 20
budget_per_month = 40.00
[teams.support]
sessions = 1
budget_per_day = 0.30
"""
MEMBERS = {"gus": "sales", "hal": "sales", "ivy": "support", "joe": "field-engineering:emea"}
PLAN = """
[plans.{}]
rate = "{}/minute; 500/day"
sessions = {}
minutes_per_day = 240
session_minutes = 60
"""


@pytest.fixture(scope="module")
def busy(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    """A broker after a day of traffic, with an operator."""
    plans = PLAN.format("team", 20, 4) + PLAN.format("pro", 60, 10)
    broker = make_broker(standin.url, toml=plans + TEAMS, project_sessions=6)
    make_traffic(broker.database, days=1.5, sessions=2200)
    broker.add_user("olga", roles=["operator"])
    for name, team in MEMBERS.items():
        broker.add_user(name, team=team)
        request_tokens(broker, name, 1)
    TeamAdmin(broker.settings, broker.database, actor="tests").set("sales", {"minutes_per_day": 600})
    return broker


class Album:
    """Takes the screenshots of one size and colour scheme, and collects what is wrong with each view."""

    def __init__(self, name: str, ops: OpsPage) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self._name = name
        self._ops = ops
        self.faults: dict[str, list[str]] = {}

    def take(self, name: str) -> None:
        page = self._ops.page
        page.screenshot(path=ARTIFACTS / f"ops-{self._name}-{name}.png", animations="disabled")
        found = axe.violations(page)
        if (over := self._ops.overflow()) > 0:
            found.append(f"{over} pixels wider than the screen")
        if found:
            self.faults[name] = found


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("phone", "dark"),
        pytest.param("desktop", "light", marks=pytest.mark.long),
        pytest.param("desktop", "dark", marks=pytest.mark.long),
        pytest.param("phone", "light", marks=pytest.mark.long),
        pytest.param("desktop", "forced-colours", marks=pytest.mark.long),
    ],
)
def test_every_view_is_accessible_and_fits_the_screen(
    visit_ops: OpsVisits, busy: BrokerServer, size: str, scheme: str
) -> None:
    # The policy forbids eval, which the accessibility checker needs, so these visits ignore the policy.
    ops = visit_ops(
        busy.url, viewport=SIZES[size], bypass_csp=True, reduced_motion="reduce", **COLOURS[scheme]
    )
    page, album = ops.page, Album(f"{size}-{scheme}", ops)
    ops.visit()
    album.take("sign-in")
    ops.sign_in()
    expect(ops.page.get_by_role("slider")).to_have_count(5)
    expect(page.get_by_label("Last day")).to_be_checked()
    expect(page.locator("path.column").first).to_be_visible()
    page.get_by_role("slider", name="Refusals").focus()
    page.keyboard.press("PageUp")
    expect(page.locator(".tooltip:visible")).to_have_count(1)
    album.take("overview")
    page.get_by_text("Show as table").first.click()
    page.locator(".charts").scroll_into_view_if_needed()
    album.take("overview-table")

    ops.go("Live sessions")
    end = page.locator("#view tbody button").first
    end.click()
    expect(ops.dialog).to_be_visible()
    album.take("ending-a-session")
    page.keyboard.press("Escape")
    expect(end).to_be_focused()
    album.take("sessions")
    boxes = page.locator("#view tbody input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    album.take("sessions-selected")
    ops.page.get_by_role("group", name="Selected rows").get_by_role("button", name="End").click()
    album.take("ending-sessions")
    page.keyboard.press("Escape")

    ops.go("Users")
    expect(page.locator("#view tbody tr")).to_have_count(50)
    album.take("users")
    page.get_by_label("Sort by", exact=True).select_option("minutes")
    expect(page.locator("#view thead [aria-sort=descending]")).to_have_count(1)
    album.take("users-by-minutes")
    page.get_by_role("button", name="Add user").click()
    album.take("adding-a-user")
    page.keyboard.press("Escape")

    ops.open_user("ada")
    ops.override("Sessions at once", "6")
    album.take("user")
    limits = LimitAdmin(busy.settings, busy.database, actor="live-broker:oscar")
    limits.set("ada", {"rate": "3/minute"})
    ops.save()
    expect(page.get_by_role("button", name="Overwrite with mine")).to_be_focused()
    album.take("conflict")
    page.get_by_role("button", name="Keep theirs").click()
    limits.clear("ada")

    ops.go("Teams")
    expect(page.locator("#view tbody tr")).to_have_count(3)
    album.take("teams")
    page.get_by_role("link", name="sales", exact=True).click()
    ops.override("Sessions at once", "30")
    album.take("team")

    for tab in ("Service keys", "Blocks", "Audit trail"):
        ops.go(tab)
        expect(page.locator("#view tbody tr").first).to_be_visible()
        album.take(tab.lower().replace(" ", "-"))
    page.get_by_role("radio", name="Refusals").check()
    expect(page.locator("#view tbody tr").first).to_contain_text(re.compile("[a-z]-[a-z]"))
    album.take("audit-refusals")
    ops.go("Service keys")
    page.get_by_role("button", name="Create key").click()
    expect(ops.dialog).to_be_visible()
    album.take("creating-a-key")
    ops.dialog.get_by_label("Name").fill(f"kiosk-{size}-{scheme}")
    ops.dialog.get_by_role("button", name="Create key").click()
    expect(page.get_by_label("The key", exact=True)).to_be_visible()
    album.take("new-key")
    assert album.faults == {}


@pytest.mark.long
@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_seldom_seen_views_are_accessible_and_fit_the_screen(
    visit_ops: OpsVisits, standin: StandIn, make_broker: MakeBroker, size: str, scheme: str
) -> None:
    """A broker that nobody has used yet, then suspended, with a blocked user, and out of reach."""
    unused = make_broker(standin.url, project_sessions=1, rate="2/minute")
    unused.add_user("olga", roles=["operator"])
    unused.add_user("max", plan="default")
    ops = visit_ops(unused.url, viewport=SIZES[size], bypass_csp=True, **COLOURS[scheme])
    page, album = ops.page, Album(f"{size}-{scheme}", ops)
    ops.enter()
    expect(page.get_by_text("Nothing needs attention.")).to_be_visible()
    album.take("unused-overview")
    for tab in ("Live sessions", "Service keys", "Blocks"):
        ops.go(tab)
        expect(page.locator("#view .none")).to_be_visible()
        album.take(f"unused-{tab.lower().replace(' ', '-')}")
    ops.go("Users")
    page.get_by_label("Search").fill("nobody of this name")
    expect(page.locator("#view .none")).to_be_visible()
    album.take("no-users-found")
    request_tokens(unused, "max", 4)

    ops.go("Overview")
    page.get_by_role("button", name="Suspend new tokens").click()
    expect(ops.dialog).to_be_visible()
    album.take("suspending")
    page.get_by_label("Reason").fill("The voice service is down.")
    ops.dialog.get_by_role("button", name="Suspend", exact=True).click()
    expect(page.locator("#suspension")).to_be_visible()
    expect(page.get_by_text("Problem").first).to_be_visible()
    album.take("suspended")
    ops.open_user("max")
    page.get_by_role("button", name="Block", exact=True).click()
    album.take("blocking-a-user")
    ops.dialog.get_by_label("Reason").fill("Shares the account.")
    ops.dialog.get_by_role("button", name="Block", exact=True).click()
    ops.dialog.get_by_role("button", name="Close").click()
    ops.override("Sessions at once", "6")
    ops.save()
    ops.announced("Saved. The new limits apply from the next request.")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    album.take("blocked-user")
    ops.go("Audit trail")
    expect(page.locator("#view tbody .diff").first).to_be_visible()
    album.take("audit-of-changes")
    ops.go("Users")
    page.get_by_label("Search").fill("")
    page.locator("#view tbody input[type=checkbox]").first.check()
    page.get_by_role("button", name="Set limits").click()
    expect(ops.dialog).to_be_visible()
    album.take("setting-limits")
    page.keyboard.press("Escape")
    page.context.set_offline(True)
    ops.page.get_by_role("navigation").get_by_role("link", name="Blocks").click()
    expect(ops.fault).to_contain_text("The broker cannot be reached")
    album.take("out-of-reach")
    page.context.set_offline(False)
    assert album.faults == {}


@pytest.mark.parametrize(
    "width",
    [320, pytest.param(768, marks=pytest.mark.long), pytest.param(1920, marks=pytest.mark.long)],
)
def test_charts_fit_every_width_and_announce_their_values(
    visit_ops: OpsVisits, busy: BrokerServer, width: int
) -> None:
    ops = visit_ops(busy.url, viewport={"width": width, "height": 640})
    ops.enter()
    page = ops.page
    tokens = page.get_by_role("slider", name="Tokens")
    expect(page.locator("path.column").first).to_be_visible()
    for owner in ("user", "team"):
        costs = page.get_by_role("region", name=f"Cost this month by {owner}")
        expect(costs.get_by_role("row").nth(1)).to_be_visible()
    assert ops.overflow() <= 0
    tokens.focus()
    page.keyboard.press("Home")
    expect(tokens).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("ArrowRight")
    expect(tokens).to_have_attribute("aria-valuenow", "1")
    page.keyboard.press("End")
    announced = [tokens.get_attribute("aria-valuetext")]
    for _ in range(95):
        page.keyboard.press("ArrowLeft")
        announced.append(tokens.get_attribute("aria-valuetext"))
    with busy.client("olga") as client:
        points = client.get("/admin/usage", params={"range": "day"}).json()["points"]
    values = [int(str(text).rsplit(" ", 1)[1].replace(",", "")) for text in reversed(announced)]
    # The newest step is not complete, and a new step may begin during this test.
    assert sum(abs(a - b["tokens"]) for a, b in zip(values, points, strict=True)) <= max(values) or (
        values[1:-1] == [point["tokens"] for point in points[: len(values) - 2]]
    )

    figure = page.get_by_role("figure", name="Tokens")
    figure.get_by_text("Show as table").click()
    cells = figure.get_by_role("group", name="Values").locator("tbody td").all_inner_texts()
    assert [int(text.replace(",", "")) for text in reversed(cells)] == values
    box = tokens.bounding_box()
    assert box is not None
    page.keyboard.press("Escape")
    expect(page.locator(".tooltip:visible")).to_have_count(0)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    expect(page.locator(".tooltip:visible")).to_contain_text("Tokens")
    page.get_by_label("Last hour").check()
    expect(tokens).to_have_attribute("aria-valuemax", "59")
