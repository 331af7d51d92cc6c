"""The limits of a user through HTTP: refusals, their wording, and overrides that apply at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from broker.operators.errors import OperatorError
from broker.operators.limits import LimitAdmin
from broker.parts import parts_of
from broker.store.accounts.overrides import SqlOverrides
from tests.http.conftest import MakeApp, bearer
from tests.support.keys import key_headers


class Shift:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


def limits_of(app: Flask) -> LimitAdmin:
    parts = parts_of(app)
    return LimitAdmin(parts.settings, parts.database, actor="cli:olga")


def test_too_many_sessions_lists_the_open_ones(app: Flask, client: FlaskClient) -> None:
    alice = bearer(app)
    limits_of(app).set("alice", {"sessions": 2})
    opened = [client.post("/token", headers=alice).get_json()["session"]["id"] for _ in range(2)]
    dry_run = client.get("/me", headers=alice).get_json()
    answer = client.post("/token", headers=alice)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (429, "too-many-sessions")
    assert {one["id"] for one in problem["sessions"]} == set(opened)
    members = {"id", "profile", "state", "opened_at", "ends_at", "held_until"}
    assert all(set(one) == members and one["state"] == "open" for one in problem["sessions"])
    assert problem["violated-policies"] == ["sessions"]
    assert "POST /sessions/{id}/end" in problem["hint"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 150
    assert '"sessions";r=0' in answer.headers["RateLimit"]
    assert (dry_run["next_token"]["code"], dry_run["next_token"]["detail"]) == (
        "too-many-sessions",
        problem["detail"],
    )
    assert dry_run["limits"]["sessions"] == {"limit": 2, "open": 2}
    assert client.post(f"/sessions/{opened[0]}/end", headers=alice).status_code == 200
    assert client.post("/token", headers=alice).status_code == 200


def test_reloaded_page_frees_its_place(make_app: MakeApp) -> None:
    """As with the shipped plan, the page ends its session on pagehide. The place of a crashed tab expires."""
    clock = Shift()
    app = make_app(clock=clock)
    client, alice = app.test_client(use_cookies=False), bearer(app)
    limits_of(app).set("alice", {"sessions": 2})
    for _ in range(10):
        session = client.post("/token", headers=alice).get_json()["session"]["id"]
        client.post(f"/sessions/{session}/heartbeat", headers=alice)
        assert client.post(f"/sessions/{session}/end", headers=alice).status_code == 200
    for _ in range(2):
        assert client.post("/token", headers=alice).status_code == 200
    assert client.post("/token", headers=alice).status_code == 429
    clock.by = timedelta(seconds=150)
    assert client.post("/token", headers=bearer(app)).status_code == 200


def test_last_token_ends_with_the_minutes_of_the_day(app: Flask, client: FlaskClient) -> None:
    alice = bearer(app)
    limits_of(app).set("alice", {"minutes_per_day": 20})
    first, second = (client.post("/token", headers=alice).get_json() for _ in range(2))
    assert (first["expires_in"], second["expires_in"]) == (900, 300)
    assert second["limits"]["minutes_per_day"] == {"limit": 20, "used": 20}
    dry_run = client.get("/me", headers=alice).get_json()
    answer = client.post("/token", headers=alice)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (429, "minutes-exhausted")
    assert problem["violated-policies"] == ["minutes_per_day"]
    assert int(answer.headers["Retry-After"]) <= 86400
    assert '"minutes_per_day";r=0' in answer.headers["RateLimit"]
    assert dry_run["next_token"]["code"] == "minutes-exhausted"
    renewal = client.post(f"/sessions/{second['session']['id']}/token", headers=alice)
    assert renewal.status_code == 200, "charged time may be used on a new connection"
    assert renewal.get_json()["expires_in"] <= 300


def test_upstream_failure_uses_no_session_and_no_minutes(make_app: MakeApp) -> None:
    app = make_app(live_url="http://127.0.0.1:9")
    client, alice = app.test_client(use_cookies=False), bearer(app)
    assert client.post("/token", headers=alice).status_code in {502, 504}
    body = client.get("/me", headers=alice).get_json()["limits"]
    assert (body["sessions"]["open"], body["minutes_per_day"]["used"]) == (0, 0)


def test_changed_limit_applies_to_next_request(app: Flask, client: FlaskClient) -> None:
    alice, admin = bearer(app), limits_of(app)
    assert client.post("/token", headers=alice).get_json()["limits"]["rate"][0]["policy"] == "1000/minute"
    admin.set("alice", {"rate": "7/minute", "session_minutes": 10})
    body = client.post("/token", headers=alice).get_json()
    assert body["limits"]["rate"] == [{"policy": "7/minute", "remaining": 6, "reset": 60}]
    assert body["expires_in"] == 600
    assert client.post("/token", headers=bearer(app, "bob")).get_json()["expires_in"] == 900
    admin.clear("alice", ["rate"])
    body = client.post("/token", headers=alice).get_json()
    assert body["limits"]["rate"][0]["policy"] == "1000/minute"
    assert body["expires_in"] == 600
    admin.clear("alice")
    assert client.post("/token", headers=alice).get_json()["expires_in"] == 900
    assert SqlOverrides(parts_of(app).database).all() == []


GOLD = """
[plans.gold]
rate = "9/minute"
sessions = 1
minutes_per_day = 5
session_minutes = 30
"""


def test_overridden_plan_replaces_the_users_own(make_app: MakeApp) -> None:
    app = make_app(toml=GOLD)
    client, alice = app.test_client(use_cookies=False), bearer(app)
    limits_of(app).set("alice", {"plan": "gold", "minutes_per_day": 7})
    body = client.get("/me", headers=alice).get_json()
    assert body["plan"] == "gold"
    assert body["limits"]["sessions"] == {"limit": 1, "open": 0}
    assert body["limits"]["minutes_per_day"] == {"limit": 7, "used": 0}
    shown = limits_of(app).show("alice")
    assert shown.rule == "own minutes_per_day; plan gold"


def test_operators_can_override_limits_of_keys_and_their_users(app: Flask, client: FlaskClient) -> None:
    headers = key_headers(app, on_behalf_of="any")
    key_id = client.get("/me", headers=headers).get_json()["principal"]["subject"]
    admin = limits_of(app)
    admin.set("u1", {"sessions": 1}, f"live-broker:key:{key_id}")
    admin.set(key_id, {"sessions": 3}, "live-broker:key")

    def ask(user: str) -> str:
        answer = client.post("/token", json={"on_behalf_of": user}, headers=headers)
        return str(answer.get_json().get("detail", answer.status_code))

    assert [ask("u1"), ask("u1")] == ["200", "1 of 1 sessions are open."]
    assert [ask("u2"), ask("u3"), ask("u4")] == [
        "200",
        "200",
        "3 of 3 sessions of the service key are open.",
    ]


def test_full_project_is_a_503(make_app: MakeApp) -> None:
    app = make_app(project_sessions=1)
    client, alice, bob = app.test_client(use_cookies=False), bearer(app), bearer(app, "bob")
    session = client.post("/token", headers=alice).get_json()["session"]["id"]
    answer = client.post("/token", headers=bob)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "project-capacity")
    assert int(answer.headers["Retry-After"]) >= 1
    assert client.get("/me", headers=bob).get_json()["next_token"]["code"] == "project-capacity"
    client.delete(f"/sessions/{session}", headers=alice)
    assert client.post("/token", headers=bob).status_code == 200


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": "often"}, "rate: must look like"),
        ({"rate": ""}, "rate: "),
        ({"rate": "0/minute"}, "rate: must allow"),
        ({"rate": ";".join(["10/minute"] * 40)}, "rate: must have at most"),
        ({"sessions": 0}, "sessions: "),
        ({"minutes_per_day": -1}, "minutes_per_day: "),
        ({"session_minutes": 100000}, "session_minutes: "),
        ({"plan": "silver"}, "there is no plan"),
        ({}, "nothing to set"),
    ],
)
def test_invalid_override_is_rejected_when_it_is_saved(
    app: Flask, client: FlaskClient, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(OperatorError, match=said):
        limits_of(app).set("alice", changes)
    assert SqlOverrides(parts_of(app).database).all() == []
    assert client.post("/token", headers=bearer(app)).status_code == 200


def test_dry_run_and_mint_keep_reserved_places(make_app: MakeApp) -> None:
    """One of two places is kept for gold. A backend on gold also uses it for its users."""
    gold = (
        '[plans.gold]\nrate = "100/minute"\nsessions = 9\nminutes_per_day = 999\nsession_minutes = 30\n'
        "reserved_sessions = 1\n"
    )
    app = make_app(toml=gold, project_sessions=2)
    client, alice, bob = app.test_client(use_cookies=False), bearer(app), bearer(app, "bob")
    shop = key_headers(app, plan="gold", on_behalf_of="any")
    assert client.post("/token", headers=alice).status_code == 200
    dry_run = client.get("/me", headers=bob).get_json()["next_token"]
    assert dry_run["code"] == client.post("/token", headers=bob).get_json()["code"] == "project-capacity"
    assert client.get("/me", headers=shop).get_json()["next_token"]["granted"]
    assert client.post("/token", headers=shop, json={"on_behalf_of": "u1"}).status_code == 200
    assert client.post("/token", headers=shop).get_json()["code"] == "project-capacity"
