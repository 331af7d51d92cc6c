"""An ended session that holds its place is shown wherever sessions are counted, until its place is free."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask.testing import FlaskClient

from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer, block_admin, user_admin
from tests.support.keys import key_headers
from tests.support.servers import PASSWORD

# Nothing is forgiven, so no early end is believed.
STRICT = """
[plans.strict]
rate = "1000/minute"
sessions = 1
minutes_per_day = 60
session_minutes = 30
forgiven_minutes_per_day = 0
"""


@pytest.fixture
def gus(make_app: MakeApp) -> tuple[OperatorClient, FlaskClient, dict[str, str]]:
    app = make_app(toml=STRICT)
    user_admin(app).add("gus", PASSWORD, plan="strict")
    return OperatorClient.of(app), app.test_client(use_cookies=False), bearer(app, "gus")


def test_held_place_is_listed_everywhere_with_the_moment_it_is_free(
    gus: tuple[OperatorClient, FlaskClient, dict[str, str]],
) -> None:
    olga, client, headers = gus
    first = client.post("/token", headers=headers).get_json()
    assert first["expires_in"] <= 30
    session_id = first["session"]["id"]
    ended = client.post(f"/sessions/{session_id}/end", headers=headers).get_json()
    held_until = ended["held_until"]
    assert (ended["state"], held_until) == ("ended", ended["honoured_until"])
    assert ended == client.delete(f"/sessions/{session_id}", headers=headers).get_json()

    shown = client.get("/me", headers=headers).get_json()
    (mine,) = shown["sessions"]
    assert (mine["id"], mine["state"], mine["held_until"]) == (session_id, "ended", held_until)
    assert shown["limits"]["sessions"] == {"limit": 1, "open": 1}
    assert 0 < shown["next_token"]["retry_after_seconds"] <= 30

    refused = client.post("/token", headers=headers).get_json()
    (listed,) = refused["sessions"]
    assert (listed["id"], listed["state"], listed["held_until"]) == (session_id, "ended", held_until)
    assert "POST /sessions/{id}/end" in refused["hint"]

    (row,) = olga.all("sessions")
    assert (row["id"], row["state"], row["held_until"]) == (session_id, "ended", held_until)
    assert olga.get("overview")["project"]["sessions"]["open"] == 1
    assert row["seconds"] == 30, "charged to the end of its token"


def test_believed_end_frees_the_place_at_once(make_app: MakeApp) -> None:
    app = make_app()
    client, headers = app.test_client(use_cookies=False), bearer(app)
    session_id = client.post("/token", headers=headers).get_json()["session"]["id"]
    assert client.delete(f"/sessions/{session_id}", headers=headers).get_json()["held_until"] is None
    assert client.get("/me", headers=headers).get_json()["sessions"] == []


def test_chosen_lifetime_is_not_shortened(gus: tuple[OperatorClient, FlaskClient, dict[str, str]]) -> None:
    _, client, headers = gus
    answer = client.post("/token", headers=headers, json={"ttl_seconds": 900}).get_json()
    assert answer["expires_in"] > 800


def test_short_token_is_renewed_early_enough_to_find_a_pause(make_app: MakeApp) -> None:
    app = make_app()
    client, headers = app.test_client(use_cookies=False), bearer(app)
    pauses = []
    for ttl in (30, 60, 75, 900):
        answer = client.post("/token", headers=headers, json={"ttl_seconds": ttl}).get_json()
        expires, renew = answer["expires_at"], answer["session"]["renew_after"]
        pauses.append((datetime.fromisoformat(expires) - datetime.fromisoformat(renew)).total_seconds())
    assert pauses == [15, 15, 15, 180]


def test_key_ends_the_session_of_a_user_who_is_blocked_meanwhile(make_app: MakeApp) -> None:
    app = make_app()
    client, headers = app.test_client(use_cookies=False), key_headers(app, on_behalf_of="any")
    answer = client.post("/token", headers=headers, json={"on_behalf_of": "u1"}).get_json()
    key = client.get("/me", headers=headers).get_json()["principal"]["subject"]
    block_admin(app).block("u1", f"live-broker:key:{key}")
    ended = client.delete(f"/sessions/{answer['session']['id']}", headers=headers)
    assert (ended.status_code, ended.get_json()["held_until"]) == (200, None)
