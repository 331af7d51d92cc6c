"""POST /sessions/{id}/report: the broker stores one report per session, and nothing else changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from broker.parts import parts_of
from broker.store.database.tables import session_reports, tokens
from tests.http.conftest import MakeApp, bearer
from tests.support.keys import key_headers

REPORT = {"first_audio_ms": 640, "underruns": 2, "reconnects": 1, "played_seconds": 212, "total_tokens": 5120}


class Shift:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


def kept(app: Flask) -> dict[str, Any]:
    with parts_of(app).database.read() as connection:
        rows = connection.execute(select(session_reports))
        return {row.session_id: row.data for row in rows}


def opened(client: FlaskClient, headers: dict[str, str]) -> str:
    session_id: str = client.post("/token", headers=headers).get_json()["session"]["id"]
    return session_id


def test_last_report_of_a_session_is_stored(make_app: MakeApp) -> None:
    clock = Shift()
    app = make_app(clock=clock)
    client, alice = app.test_client(use_cookies=False), bearer(app)
    session = opened(client, alice)
    path = f"/sessions/{session}/report"
    answer = client.post(path, headers=alice, json=REPORT)
    assert (answer.status_code, answer.data) == (204, b"")
    assert kept(app) == {session: REPORT}
    clock.by += timedelta(seconds=2)
    assert client.post(path, headers=alice, json={"underruns": 3}).status_code == 204
    assert kept(app) == {session: {"underruns": 3}}


def test_flood_of_reports_is_rejected_and_stays_one_row(app: Flask, client: FlaskClient) -> None:
    alice = bearer(app)
    session = opened(client, alice)
    answers = [
        client.post(f"/sessions/{session}/report", headers=alice, json={"underruns": n}) for n in range(9)
    ]
    assert answers[0].status_code == 204
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.get_json()["code"] for answer in refused} == {"rate-limited"}
    assert refused[0].headers["Retry-After"] == "1"
    assert len(kept(app)) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_audio_ms", -1),
        ("first_audio_ms", 1.5),
        ("first_audio_ms", "640"),
        ("underruns", True),
        ("played_seconds", 86_401),
        ("input_rate", 10**30),
        ("total_tokens", [1]),
    ],
)
def test_invalid_value_is_rejected_by_field_name(
    app: Flask, client: FlaskClient, field: str, value: object
) -> None:
    alice = bearer(app)
    session = opened(client, alice)
    answer = client.post(f"/sessions/{session}/report", headers=alice, json={**REPORT, field: value})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid-field")
    assert [fault["field"] for fault in answer.get_json()["fields"]] == [field]
    assert kept(app) == {}


def test_unknown_field_is_rejected_by_name(app: Flask, client: FlaskClient) -> None:
    alice = bearer(app)
    answer = client.post(f"/sessions/{opened(client, alice)}/report", headers=alice, json={"minutes": 0})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "field-not-allowed")
    assert kept(app) == {}


def test_session_of_another_principal_is_unknown(app: Flask, client: FlaskClient) -> None:
    session = opened(client, bearer(app))
    for path in (f"/sessions/{session}/report", "/sessions/ses_1/report"):
        answer = client.post(path, headers=bearer(app, "bob"), json=REPORT)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "session-unknown")
    assert kept(app) == {}


def test_service_key_reports_for_its_users(app: Flask, client: FlaskClient) -> None:
    shop = key_headers(app, on_behalf_of="any")
    session = client.post("/token", headers=shop, json={"on_behalf_of": "u1"}).get_json()["session"]["id"]
    assert client.post(f"/sessions/{session}/report", headers=shop, json=REPORT).status_code == 204
    other = key_headers(app, "other", on_behalf_of="any")
    assert client.post(f"/sessions/{session}/report", headers=other, json=REPORT).status_code == 404


def test_ended_session_accepts_reports_for_a_while(make_app: MakeApp) -> None:
    clock = Shift()
    app = make_app(clock=clock)
    client, alice = app.test_client(use_cookies=False), bearer(app)
    session = opened(client, alice)
    client.post(f"/sessions/{session}/end", headers=alice)
    clock.by += timedelta(minutes=9)
    assert client.post(f"/sessions/{session}/report", headers=alice, json=REPORT).status_code == 204
    clock.by += timedelta(minutes=2)
    answer = client.post(f"/sessions/{session}/report", headers=alice, json={"underruns": 9})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "session-ended")
    assert kept(app) == {session: REPORT}


def test_reports_change_no_limit(app: Flask, client: FlaskClient) -> None:
    alice = bearer(app)
    session = opened(client, alice)
    before = client.get("/me", headers=alice).get_json()
    client.post(f"/sessions/{session}/report", headers=alice, json={"played_seconds": 0, "total_tokens": 0})
    after = client.get("/me", headers=alice).get_json()
    assert after["limits"]["minutes_per_day"] == before["limits"]["minutes_per_day"]
    assert after["limits"]["sessions"] == before["limits"]["sessions"]


def test_mint_duration_is_stored_with_the_token(app: Flask, client: FlaskClient) -> None:
    opened(client, bearer(app))
    with parts_of(app).database.read() as connection:
        took = connection.execute(select(tokens.c.mint_ms)).scalar_one()
    assert 0 <= took < 60_000
