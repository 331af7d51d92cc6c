"""The overview shows what is spent against the budgets, who has spent most, and budgets near their limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from broker.standin import StandIn
from tests.browser import axe
from tests.browser.demo_page import DESKTOP, PHONE
from tests.browser.ops_page import OpsVisits, request_tokens
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
# A slice of 900 s costs 0.345.
PURSE = """
[plans.purse]
rate = "1000/minute"
sessions = 20
minutes_per_day = 600
session_minutes = 30
budget_per_month = 0.40
"""


@pytest.fixture(scope="module")
def spent(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    broker = make_broker(standin.url, toml=PURSE, project="budget_per_day = 6.00\nbudget_per_month = 50")
    broker.add_user("olga", roles=["operator"])
    for number in range(12):
        name = f"user{number:02}"
        broker.add_user(name, plan="purse" if number == 0 else "default")
        assert request_tokens(broker, name, 2 if number == 5 else 1).count(200) == (2 if number == 5 else 1)
    return broker


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_overview_shows_what_is_spent(
    visit_ops: OpsVisits, spent: BrokerServer, size: str, scheme: str
) -> None:
    viewport = {"desktop": DESKTOP, "phone": PHONE}[size]
    ops = visit_ops(
        spent.url, viewport=viewport, bypass_csp=True, reduced_motion="reduce", color_scheme=scheme
    )
    ops.enter()
    page = ops.page
    strip = page.get_by_role("region", name="Attention")
    near = strip.locator("p", has_text="Budgets near their limit:")
    expect(near.get_by_role("link", name="user00")).to_contain_text("$0.345 of $0.40 this month")
    tile = page.locator(".tile", has_text="Cost today")
    expect(tile).to_contain_text("$4.49")
    expect(tile).to_contain_text("of $6.00")
    expect(page.locator(".tile", has_text="Cost this month")).to_contain_text("of $50.00")
    rows = page.locator(".spending tbody tr")
    expect(rows).to_have_count(10)
    expect(rows.first).to_contain_text("user05")
    page.get_by_role("region", name="Cost this month by user").get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(12)
    limited = rows.filter(has_text="user00")
    expect(limited).to_contain_text("$0.345 of $0.40 a month")
    assert axe.violations(page) == []
    assert ops.overflow() <= 0
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(
        path=ARTIFACTS / f"ops-spending-{size}-{scheme}.png", animations="disabled", full_page=True
    )
    limited.get_by_role("link").click()
    expect(page.get_by_role("heading", name="user00")).to_be_visible()
