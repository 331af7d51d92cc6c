"""Thresholds of budgets over HTTP: the overview of operators, the metric, and reports of clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from broker.principal import KEY_ISSUER
from broker.telemetry.metrics import BUDGET_THRESHOLDS
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer, user_admin
from tests.support.keys import make_key
from tests.support.servers import PASSWORD

# A slice of 900 s costs 0.345.
PURSE = """
[plans.purse]
rate = "1000/minute"
sessions = 10
minutes_per_day = 600
session_minutes = 30
budget_per_month = 0.50
[plans.small]
rate = "1000/minute"
sessions = 10
minutes_per_day = 600
session_minutes = 30
budget_per_day = 0.39
[plans.backend]
rate = "1000/minute"
sessions = 10
minutes_per_day = 600
session_minutes = 30
budget_per_day = 100
"""
# As many as a second can have. They cost 0.393.
DEAR = {"input_tokens": 131_000, "input_audio_tokens": 131_000}


@pytest.fixture
def olga(make_app: MakeApp) -> OperatorClient:
    app = make_app(toml=PURSE)
    user_admin(app).add("gus", PASSWORD, plan="purse")
    return OperatorClient.of(app)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as logged:
        yield logged


def told(lines: list[Any]) -> list[tuple[str, int]]:
    found = [line for line in lines if line["event"] == "budget_threshold"]
    return [(line["owner"], line["threshold"]) for line in found]


def near(olga: OperatorClient) -> list[tuple[str, str, str, int]]:
    rows = olga.get("overview")["budgets_near_limits"]
    return [(one["kind"], one["name"], one["policy"], one["percent"]) for one in rows]


def test_overview_lists_budgets_from_80_percent_on(olga: OperatorClient, lines: list[Any]) -> None:
    gus, path = bearer(olga.app, "gus"), f"users/{olga.user('gus')['key']}/limits"
    before = BUDGET_THRESHOLDS.labels("user", "100")._value.get()
    olga.client.post("/token", headers=gus)
    assert (told(lines), near(olga)) == ([("live-broker:gus", 50)], [])
    olga.client.post("/token", headers=gus)  # what is left: whole seconds, and less than one second remains
    assert told(lines) == [("live-broker:gus", threshold) for threshold in (50, 80, 100)]
    assert near(olga) == [("user", "gus", "budget_per_month", 100)]
    assert BUDGET_THRESHOLDS.labels("user", "100")._value.get() == before + 1
    (row,) = olga.get("overview")["budgets_near_limits"]
    assert (row["key"], row["limit"], row["currency"]) == (olga.user("gus")["key"], "0.50", "USD")
    assert row["used"].startswith("0.4998")

    olga.patch(path, {"version": 0, "budget_per_month": "5"})
    assert near(olga) == [], "a limit that was raised is not near"
    olga.patch(path, {"version": 1, "budget_per_month": "0.4"})
    assert near(olga) == [("user", "gus", "budget_per_month", 125)]


def test_reports_of_a_keys_user_alert_for_the_user(olga: OperatorClient, lines: list[Any]) -> None:
    made = make_key(olga.app, plan="backend", on_behalf_of="any", user_plan="small")
    shop = {"X-API-Key": made.secret}
    opened = olga.client.post("/token", headers=shop, json={"on_behalf_of": "u1"}).get_json()
    user = f"{KEY_ISSUER}:{made.key.id}:u1"
    assert told(lines) == [(user, 50), (user, 80)]
    path = f"/sessions/{opened['session']['id']}/report"
    assert olga.client.post(path, headers=shop, json=DEAR).status_code == 204
    assert told(lines) == [(user, 50), (user, 80), (user, 100)]
    assert [(kind, name) for kind, name, _, _ in near(olga)] == [("user", "u1")]


def test_report_of_a_blocked_user_is_still_taken(olga: OperatorClient) -> None:
    made = make_key(olga.app, plan="backend", on_behalf_of="any")
    shop = {"X-API-Key": made.secret}
    opened = olga.client.post("/token", headers=shop, json={"on_behalf_of": "u1"}).get_json()
    key = olga.user("u1")["key"]
    olga.post(f"users/{key}/block", {"reason": "a test"})
    path = f"/sessions/{opened['session']['id']}/report"
    assert olga.client.post(path, headers=shop, json={"underruns": 1}).status_code == 204
