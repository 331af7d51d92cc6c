"""Budgets over HTTP: what callers see, what operators set, and the refusal."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer, user_admin
from tests.support.servers import PASSWORD

# A slice of 900 s costs 0.345.
PURSE = """
[plans.purse]
rate = "1000/minute"
sessions = 10
minutes_per_day = 600
session_minutes = 30
budget_per_month = 0.50
minutes_per_month = 300
"""


@pytest.fixture
def olga(make_app: MakeApp) -> OperatorClient:
    app = make_app(toml=PURSE, profile="show_cost = true")
    user_admin(app).add("gus", PASSWORD, plan="purse")
    return OperatorClient.of(app)


@pytest.fixture
def client(olga: OperatorClient) -> FlaskClient:
    return olga.app.test_client(use_cookies=False)


def path(olga: OperatorClient) -> str:
    return f"users/{olga.user('gus')['key']}"


def test_caller_sees_the_budget_until_it_is_used_up(olga: OperatorClient, client: FlaskClient) -> None:
    gus = bearer(olga.app, "gus")
    first = client.post("/token", headers=gus)
    money, minutes = first.get_json()["limits"]["budget"]
    assert (money["policy"], money["limit"], money["used"], money["currency"]) == (
        "budget_per_month", "0.50", "0.345", "USD",
    )  # fmt: skip
    assert (minutes["policy"], minutes["limit"], minutes["used"], minutes["currency"]) == (
        "minutes_per_month", 300, 15, None,
    )  # fmt: skip
    assert '"budget_per_month";q=500000;qu="millionths-usd"' in first.headers["RateLimit-Policy"]
    assert '"budget_per_month";r=155000;t=' in first.headers["RateLimit"]
    second = client.post("/token", headers=gus).get_json()
    assert second["expires_in"] == 404, "what 0.155 is enough for"
    assert client.get("/me", headers=gus).get_json()["limits"]["budget"][0]["used"].startswith("0.4998")

    refused = client.post("/token", headers=gus)
    body = refused.get_json()
    assert (refused.status_code, body["code"]) == (429, "budget-exhausted")
    assert body["detail"].startswith("This month's budget is used up.")
    assert "millionths" not in refused.headers["RateLimit-Policy"]
    assert body["violated-policies"] == ["budget_per_month"]
    assert 0 < int(refused.headers["Retry-After"]) <= 31 * 86400
    shown = client.get("/me", headers=gus).get_json()["next_token"]
    assert (shown["granted"], shown["code"]) == (False, "budget-exhausted")
    assert olga.get(path(olga))["next_token"]["answer"] == "budget-exhausted"


def test_amounts_are_shown_only_where_the_profile_says_so(make_app: MakeApp) -> None:
    app = make_app(toml=PURSE)
    user_admin(app).add("gus", PASSWORD, plan="purse")
    client, gus = app.test_client(use_cookies=False), bearer(app, "gus")
    answers = [client.post("/token", headers=gus), client.get("/me", headers=gus)]
    answers += [client.post("/token", headers=gus), client.post("/token", headers=gus)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    for answer in answers:
        seen = answer.text + str(answer.headers)
        assert not any(word in seen for word in ("0.345", "0.50", "USD", "usd", "0.155")), seen
    for answer in answers[:3]:
        assert [one["policy"] for one in answer.get_json()["limits"]["budget"]] == ["minutes_per_month"]
    olga = OperatorClient.of(app)
    assert olga.get(path(olga))["next_token"]["budgets"][0]["limit"] == "0.50"


def test_end_makes_room_in_the_budget(olga: OperatorClient, client: FlaskClient) -> None:
    gus = bearer(olga.app, "gus")
    for _ in range(3):
        answer = client.post("/token", headers=gus).get_json()
        client.post(f"/sessions/{answer['session']['id']}/end", headers=gus)
    (used, _) = client.get("/me", headers=gus).get_json()["limits"]["budget"]
    assert float(used["used"]) < 0.01


def test_callers_without_a_budget_see_none(olga: OperatorClient, client: FlaskClient) -> None:
    answer = client.post("/token", headers=bearer(olga.app))
    assert "budget" not in answer.get_json()["limits"]
    assert "budget" not in answer.headers["RateLimit-Policy"]


def test_operator_sets_the_budget_of_one_user(olga: OperatorClient, client: FlaskClient) -> None:
    changed = olga.patch(f"{path(olga)}/limits", {"version": 0, "budget_per_month": "20.5"})
    assert changed["overrides"]["budget_per_month"] == "20.50" == changed["limits"]["budget_per_month"]
    assert changed["limits"]["minutes_per_month"] == 300
    answer = client.post("/token", headers=bearer(olga.app, "gus")).get_json()
    assert answer["limits"]["budget"][0]["limit"] == "20.50"
    assert olga.trail("limits.set")["detail"]["after"] == {"budget_per_month": "20.50"}
    changed = olga.patch(f"{path(olga)}/limits", {"version": 1, "budget_per_month": None})
    assert changed["limits"]["budget_per_month"] == "0.50"


@pytest.mark.parametrize("wrong", ["-1", "1.2345678", "twenty", "", "1e3", 20, True, "1000000"])
def test_wrong_budget_changes_nothing(olga: OperatorClient, wrong: Any) -> None:
    body = olga.refused("PATCH", f"{path(olga)}/limits", {"version": 0, "budget_per_day": wrong})
    assert (body["status"], body["code"]) == (422, "invalid-field")
    assert "budget_per_day" in str(body)
    assert olga.get(path(olga))["version"] == 0
