"""Teams over HTTP: what members and operators see, what operators set, and how it shows in other places."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from broker.operators.users import UserAdmin
from broker.parts import parts_of
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer, user_admin
from tests.support.keys import key_headers
from tests.support.servers import PASSWORD

# A slice of 900 s costs 0.345.
TEAMS = """
[teams.sales]
rate = "50/hour"
sessions = 3
minutes_per_month = 600
budget_per_month = 1.00
[teams.default]
minutes_per_day = 100
"""


@pytest.fixture
def olga(make_app: MakeApp) -> OperatorClient:
    app = make_app(toml=TEAMS)
    user_admin(app).add("gus", PASSWORD)
    return OperatorClient.of(app)


@pytest.fixture
def client(olga: OperatorClient) -> FlaskClient:
    return olga.app.test_client(use_cookies=False)


def join(olga: OperatorClient, team: str | None, *names: str) -> None:
    for name in names:
        olga.post(f"users/{olga.user(name)['key']}/team", {"team": team})


def token(client: FlaskClient, headers: dict[str, str], **body: Any) -> Any:
    return client.post("/token", headers=headers, json=body).get_json()


def test_members_share_the_limits_of_their_team(olga: OperatorClient, client: FlaskClient) -> None:
    join(olga, "sales", "gus", "alice")
    gus, alice = bearer(olga.app, "gus"), bearer(olga.app, "alice")
    for headers in (gus, alice):
        assert "token" in token(client, headers)
    shown = client.get("/me", headers=gus).get_json()["team"]
    (rate,) = shown.pop("rate")
    assert (rate["policy"], rate["remaining"]) == ("50/hour", 48)
    assert shown == {
        "name": "sales",
        "sessions": {"limit": 3, "open": 2},
        "minutes_per_month": {"limit": 600, "used": 30},
    }
    assert token(client, alice)["expires_in"] < 900, "0.31 is left"
    refused = client.post("/token", headers=gus)
    body = refused.get_json()
    assert (refused.status_code, body["code"]) == (429, "too-many-sessions")
    assert body["detail"] == "3 of 3 sessions of the team are open."
    assert len(body["sessions"]) == 1, "only those of gus"
    olga.patch("teams/sales/limits", {"version": 0, "sessions": 10})
    body = token(client, gus)
    assert body["code"] == "budget-exhausted"
    assert body["detail"].startswith("This month's budget of the team is used up.")
    assert "1.00" not in json.dumps(body)
    shown = client.get("/me", headers=gus).get_json()["next_token"]
    assert (shown["granted"], shown["code"]) == (False, "budget-exhausted")
    assert "1.00" not in json.dumps(client.get("/me", headers=gus).get_json())


def test_rate_of_the_team_is_named(olga: OperatorClient, client: FlaskClient) -> None:
    join(olga, "sales", "gus")
    olga.patch("teams/sales/limits", {"version": 0, "rate": "1/hour"})
    gus = bearer(olga.app, "gus")
    token(client, gus)
    assert token(client, gus)["detail"].startswith("The limit 1/hour of the team is used up.")
    person = olga.get(f"users/{olga.user('gus')['key']}")
    assert person["team"] == "sales"
    assert person["next_token"]["answer"] == "rate-limited"
    assert person["next_token"]["team"]["left"][0]["remaining"] == 0


def test_team_without_an_entry_has_the_limits_of_the_default(
    olga: OperatorClient, client: FlaskClient
) -> None:
    join(olga, "support", "gus")
    gus = bearer(olga.app, "gus")
    token(client, gus)
    team = client.get("/me", headers=gus).get_json()["team"]
    assert team == {"name": "support", "minutes_per_day": {"limit": 100, "used": 15}}
    assert "team" not in client.get("/me", headers=bearer(olga.app, "alice")).get_json()


def test_users_of_a_service_key_belong_to_its_team(olga: OperatorClient, client: FlaskClient) -> None:
    created = olga.post("keys", {"name": "crm", "on_behalf_of": "any", "team": "sales"}, status=201)
    assert created["team"] == "sales"
    shop = {"X-API-Key": created["key"]}
    opened = token(client, shop, on_behalf_of="zoe")["session"]["id"]
    token(client, shop)
    assert olga.get("teams/sales")["open_sessions"] == 2
    found = {one["id"]: one for one in olga.all("sessions")}
    assert found[opened]["team"] == "sales"
    client.post(f"/sessions/{opened}/end", headers=shop)
    assert olga.get("teams/sales")["open_sessions"] == 1
    other = key_headers(olga.app, "plain", on_behalf_of="any")
    token(client, other, on_behalf_of="zoe")
    assert olga.get("teams/sales")["open_sessions"] == 1


def test_session_keeps_its_team_when_its_owner_moves(olga: OperatorClient, client: FlaskClient) -> None:
    join(olga, "sales", "gus")
    gus = bearer(olga.app, "gus")
    opened = token(client, gus)["session"]["id"]
    join(olga, "support", "gus")
    assert "token" in client.post(f"/sessions/{opened}/token", headers=gus).get_json()
    teams = {team["name"]: team for team in olga.all("teams")}
    assert (teams["sales"]["open_sessions"], teams["support"]["open_sessions"]) == (1, 0)
    assert (teams["sales"]["members"], teams["support"]["members"]) == (1, 1)
    client.post(f"/sessions/{opened}/end", headers=gus)
    assert olga.get("teams/sales")["open_sessions"] == 0
    join(olga, None, "gus")
    assert olga.user("gus")["team"] is None


def test_operator_sees_and_sets_limits(olga: OperatorClient, client: FlaskClient) -> None:
    join(olga, "sales", "gus")
    token(client, bearer(olga.app, "gus"))
    (team,) = olga.all("teams", query="SAL")
    assert team["limits"] == {
        "rate": "50/hour", "sessions": 3, "minutes_per_day": None,
        "budget_per_day": None, "budget_per_month": "1.00", "minutes_per_month": 600,
    }  # fmt: skip
    assert set(team["overrides"].values()) == {None}
    assert (team["cost_today"], team["cost_month"], team["currency"]) == ("0.345", "0.345", "USD")
    assert (team["rule"], team["members"], team["minutes_today"], team["minutes_month"]) == (
        "team sales", 1, 15, 15,
    )  # fmt: skip
    changed = olga.patch("teams/sales/limits", {"version": 0, "sessions": 7, "budget_per_day": "2.5"})
    assert (changed["limits"]["sessions"], changed["overrides"]["sessions"], changed["version"]) == (7, 7, 1)
    assert changed["limits"]["budget_per_day"] == "2.50"
    assert changed["rule"] == "own sessions, budget_per_day; team sales"
    assert olga.refused("PATCH", "teams/sales/limits", {"version": 0, "sessions": 8})["code"] == (
        "edit-conflict"
    )
    assert olga.patch("teams/sales/limits", {"version": 1, "sessions": None})["limits"]["sessions"] == 3
    entry = olga.trail("limits.set")
    assert (entry["detail"]["issuer"], entry["detail"]["subject"]) == ("live-broker:team", "sales")


@pytest.mark.parametrize("name", ["a b", "-x", "x" * 65, "%2Fx"])
def test_name_that_no_team_can_have_is_refused(olga: OperatorClient, name: str) -> None:
    assert olga.refused("GET", f"teams/{name}")["code"] == "not-found"
    body = {"team": name.replace("%2F", "/")}
    assert olga.refused("POST", f"users/{olga.user('gus')['key']}/team", body)["code"] == "invalid-field"


def test_teams_are_no_principals(olga: OperatorClient) -> None:
    join(olga, "sales", "gus")
    assert "sales" not in {person["subject"] for person in olga.all("users")}
    assert olga.refused("GET", f"users/{'0' * 40}")["code"] == "not-found"
    with pytest.raises(Exception, match="there is no issuer"):
        olga.user_admin.sign_out("sales", "live-broker:team")


def test_team_is_in_the_trail_and_in_exports(olga: OperatorClient, client: FlaskClient) -> None:
    join(olga, "sales", "gus")
    assert olga.trail("user.team")["detail"]["after"] == {"team": "sales"}
    olga.patch("teams/sales/limits", {"version": 0, "sessions": 1})
    gus = bearer(olga.app, "gus")
    token(client, gus)
    assert token(client, gus)["code"] == "too-many-sessions"
    assert olga.trail("token")["detail"] == {"team": "sales"}
    token(client, bearer(olga.app, "alice"))
    answer = client.get("/admin/usage/export?by=team&format=jsonl", headers=olga.headers)
    rows = {row["team"]: row for row in map(json.loads, answer.text.splitlines())}
    assert (rows["sales"]["sessions"], rows["sales"]["cost"]) == (1, "0.345")
    assert rows["sales"]["refusals"] == {"too-many-sessions": 1}
    assert rows[""]["sessions"] == 1


def test_explain_shows_the_team(olga: OperatorClient) -> None:
    join(olga, "sales", "gus")
    parts = parts_of(olga.app)
    answer = UserAdmin(parts.settings, parts.database, actor="tests").explain("gus").to_json()["team"]
    assert (answer["name"], answer["rule"], answer["open_sessions"]) == ("sales", "team sales", 0)
    assert [bound["policy"] for bound in answer["budgets"]] == ["budget_per_month", "minutes_per_month"]
