"""GET /admin/usage/export: a file of any length, for operators alone."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from broker.principal import principal_key
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer
from tests.support.keys import key_headers


def export(app: Flask, **parameters: str) -> str:
    olga = OperatorClient.of(app)
    answer = olga.client.get("/admin/usage/export", headers=olga.headers, query_string=parameters)
    assert answer.status_code == 200, answer.text
    return answer.get_data(as_text=True)


def objects(app: Flask, **parameters: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in export(app, format="jsonl", **parameters).splitlines()]


def test_every_user_and_refusal_is_exported(make_app: MakeApp) -> None:
    app = make_app(rate="1/minute")
    client = app.test_client(use_cookies=False)
    alice = bearer(app)
    for _ in range(2):
        client.post("/token", headers=alice)
    shop = key_headers(app, on_behalf_of="any")
    assert client.post("/token", headers=shop, json={"on_behalf_of": "u1"}).status_code == 200
    rows = {row["subject"]: row for row in objects(app, by="user")}
    assert rows["alice"]["key"] == principal_key("live-broker", "alice")
    assert (rows["alice"]["sessions"], rows["alice"]["refusals"]) == (1, {"rate-limited": 1})
    assert rows["alice"]["seconds"] == 900
    assert rows["u1"]["sessions"] == 1
    (of_key,) = [row for row in objects(app, by="key") if row["id"]]
    assert (of_key["sessions"], len(of_key["name"]) > 0) == (1, True)
    (header, *cells) = csv.reader(io.StringIO(export(app, by="day"), newline=""))
    (day,) = [dict(zip(header, one, strict=True)) for one in cells]
    assert (day["day"], day["sessions"]) == (f"{datetime.now(UTC):%Y-%m-%d}", "2")
    assert day["refusals"] == day["refused_rate_limited"] == "1"
    assert day["currency"] == "USD"


def test_answer_is_a_file_with_a_name(app: Flask) -> None:
    olga = OperatorClient.of(app)
    asked = {"from": "2026-11-01", "to": "2026-11-30", "by": "model", "format": "jsonl"}
    answer = olga.client.get("/admin/usage/export", headers=olga.headers, query_string=asked)
    assert answer.mimetype == "application/jsonl"
    name = 'attachment; filename="usage-model-2026-11-01-2026-11-30.jsonl"'
    assert answer.headers["Content-Disposition"] == name
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Length" not in answer.headers


def test_days_are_included_at_both_ends(app: Flask, client: FlaskClient, alice: dict[str, str]) -> None:
    client.post("/token", headers=alice)
    today = datetime.now(UTC).date()
    one = timedelta(days=1)
    assert len(objects(app, **{"from": f"{today}", "to": f"{today}"})) == 1
    assert len(objects(app)) == 1
    assert objects(app, to=f"{today - one}") == []
    assert objects(app, **{"from": f"{today + one}", "to": f"{today + one}"}) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("from", "yesterday"),
        ("from", "20261130"),
        ("from", "2026-11-30T00:00:00Z"),
        ("from", "9999-01-01"),
        ("to", "2026-02-30"),
        ("by", "country"),
        ("format", "xlsx"),
    ],
)
def test_wrong_value_is_named(app: Flask, field: str, value: str) -> None:
    asked: dict[str, Any] = {field: value}
    refused = OperatorClient.of(app).refused("GET", "usage/export", **asked)
    assert (refused["code"], refused["fields"][0]["field"]) == ("invalid-field", field)


def test_range_that_ends_before_it_begins_is_refused(app: Flask) -> None:
    days: dict[str, Any] = {"from": "2026-11-02", "to": "2026-11-01"}
    refused = OperatorClient.of(app).refused("GET", "usage/export", **days)
    assert (refused["code"], refused["fields"][0]["field"]) == ("invalid-field", "from")
    unknown = OperatorClient.of(app).refused("GET", "usage/export", since="2026-11-02")
    assert unknown["code"] == "field-not-allowed"


def test_only_operators_export(client: FlaskClient, alice: dict[str, str]) -> None:
    assert client.get("/admin/usage/export").status_code == 401
    assert client.get("/admin/usage/export", headers=alice).status_code == 403
