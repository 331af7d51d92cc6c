"""What operators read about the costs of today and this month, of the project and by owner."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer, user_admin
from tests.support.keys import make_key
from tests.support.servers import PASSWORD

# A slice of 900 s costs 0.345.
SLICE = Decimal("0.345")
PROJECT = "budget_per_day = 10\nbudget_per_month = 200"
TOML = """
[plans.purse]
rate = "1000/minute"
sessions = 10
minutes_per_day = 600
session_minutes = 30
budget_per_month = 5
[teams.sales]
budget_per_month = 1.2
"""


@pytest.fixture
def olga(make_app: MakeApp) -> OperatorClient:
    app = make_app(toml=TOML, project=PROJECT)
    user_admin(app).add("gus", PASSWORD, plan="purse")
    return OperatorClient.of(app)


def talk(olga: OperatorClient, name: str, times: int) -> None:
    for _ in range(times):
        assert olga.client.post("/token", headers=bearer(olga.app, name)).status_code == 200


def test_project_has_today_and_this_month_against_its_budgets(olga: OperatorClient) -> None:
    talk(olga, "gus", 2)
    talk(olga, "alice", 1)
    spent = olga.get("overview")["spending"]
    budgets = {one["policy"]: (one["used"], one["limit"]) for one in spent["budgets"]}
    assert budgets == {"budget_per_day": ("1.035", "10.00"), "budget_per_month": ("1.035", "200.00")}
    assert (spent["currency"], spent["today"], spent["this_month"]) == ("USD", "1.035", "1.035")
    assert spent["projected"] is None or Decimal(spent["projected"]) >= Decimal("1.035")


def test_users_and_keys_are_listed_by_what_they_spend(olga: OperatorClient) -> None:
    talk(olga, "alice", 1)
    talk(olga, "gus", 3)
    talk(olga, "bob", 1)
    made = make_key(olga.app, on_behalf_of="any")
    for user in ("u1", "u1", "u2"):
        asked = {"on_behalf_of": user}
        assert olga.client.post("/token", headers={"X-API-Key": made.secret}, json=asked).status_code == 200
    rows = olga.all("spending")
    assert [row["name"] for row in rows][:2] == ["gus", "u1"]
    assert {row["name"] for row in rows[2:]} == {"alice", "bob", "u2"}
    assert [Decimal(row["this_month"]) / SLICE for row in rows] == [3, 2, 1, 1, 1]
    (budget,) = rows[0]["budgets"]
    assert (budget["policy"], budget["used"], budget["limit"]) == ("budget_per_month", "1.035", "5.00")
    assert (rows[0]["key"], rows[0]["today"]) == (olga.user("gus")["key"], "1.035")
    (key,) = olga.all("spending", kind="key")
    assert (key["name"], key["this_month"]) == ("shop", "1.035")


def test_teams_are_listed_with_what_their_members_spend(olga: OperatorClient) -> None:
    for name in ("gus", "alice"):
        olga.user_admin.set_team(name, "sales")
    talk(olga, "gus", 2)
    talk(olga, "alice", 1)
    talk(olga, "bob", 1)
    assert {row["name"] for row in olga.all("spending")} == {"gus", "alice", "bob"}
    (team,) = olga.all("spending", kind="team")
    assert (team["name"], team["known"], team["this_month"]) == ("sales", True, "1.035")
    (budget,) = team["budgets"]
    assert (budget["policy"], budget["used"], budget["limit"]) == ("budget_per_month", "1.035", "1.20")
    (near,) = olga.get("overview")["budgets_near_limits"]
    assert (near["kind"], near["name"], near["percent"]) == ("team", "sales", 87)


def test_removed_user_keeps_its_sum_and_is_marked(olga: OperatorClient) -> None:
    talk(olga, "gus", 1)
    olga.user_admin.remove("gus")
    (row,) = olga.all("spending")
    assert (row["name"], row["known"], row["budgets"]) == ("gus", False, [])


def test_lists_reject_other_kinds_and_bad_cursors(olga: OperatorClient) -> None:
    assert olga.refused("GET", "spending", kind="project")["fields"][0]["field"] == "kind"
    assert olga.refused("GET", "spending", cursor="abc")["fields"][0]["field"] == "cursor"
