"""Refusals that one caller repeats, under many names: a bounded number of audit rows, and an exact sum."""

from __future__ import annotations

from typing import Any

from flask import Flask

from broker.telemetry import repeats
from broker.telemetry.repeats import MOST_OF_ONE_CALLER
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer, count_audited
from tests.support.keys import key_headers

GUESTS = '[guests]\nenabled = true\naddress_rate = "1000/hour"\n'


def entries(app: Flask, outcome: str) -> list[dict[str, Any]]:
    repeats.write_all()
    found: list[dict[str, Any]] = OperatorClient.of(app).all("audit", outcome=outcome)
    return found


def test_service_key_that_names_ever_new_users_is_one_caller(app: Flask) -> None:
    headers = key_headers(app, on_behalf_of="any")
    client = app.test_client(use_cookies=False)
    for number in range(120):
        body = {"profile": "no-such-profile", "on_behalf_of": f"user {number}"}
        assert client.post("/token", headers=headers, json=body).status_code == 404
    found = entries(app, "profile-unknown")
    assert sum(entry["times"] for entry in found) == 120
    assert len(found) == MOST_OF_ONE_CALLER + 2
    (rest,) = [entry for entry in found if entry["times"] > 1]
    assert rest["detail"] is None, "it stands for several users"
    assert rest["request_id"]


def test_guests_of_one_address_are_one_caller(make_app: MakeApp) -> None:
    app = make_app(toml=GUESTS)
    for _ in range(60):
        browser = app.test_client()
        browser.get("/me", headers={"Sec-Fetch-Site": "same-origin"})
        answer = browser.get("/admin/usage", headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 403
    found = entries(app, "forbidden")
    assert sum(entry["times"] for entry in found) == 60
    assert len(found) == MOST_OF_ONE_CALLER + 2
    assert {entry["actor"] for entry in found if entry["times"] > 1} == {"address:127.0.0.1"}


def test_every_entry_of_a_change_stands_for_itself(app: Flask) -> None:
    olga = OperatorClient.of(app)
    for _ in range(4):
        olga.post("suspension", {"suspended": True, "reason": "test"})
        olga.post("suspension", {"suspended": False, "reason": "test"})
    changes = [entry for entry in entries(app, "ok") if entry["action"] in ("suspend", "resume")]
    assert [entry["times"] for entry in changes] == [1] * 8


def test_two_users_are_not_mixed(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    alice, bob = bearer(app, "alice"), bearer(app, "bob")
    for _ in range(5):
        client.get("/admin/usage", headers=alice)
    for _ in range(3):
        client.get("/admin/usage", headers=bob)
    assert count_audited(app, actor="live-broker:alice", outcome="forbidden") == 5
    assert count_audited(app, actor="live-broker:bob", outcome="forbidden") == 3
    assert sorted(entry["times"] for entry in entries(app, "forbidden")) == [1, 1, 2, 4]
