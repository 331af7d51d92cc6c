"""GET /admin/usage: the series that the operators' page draws. Only operators may read it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from broker.parts import parts_of
from broker.principal import principal_key
from broker.store.reporting.usage import RANGES
from broker.telemetry import repeats
from tests.http.conftest import MakeApp, bearer
from tests.support.traffic import make_traffic


def as_olga(app: Flask) -> dict[str, str]:
    return bearer(app, "olga")


def usage(client: FlaskClient, headers: dict[str, str], name: str) -> dict[str, Any]:
    answer = client.get(f"/admin/usage?range={name}", headers=headers)
    assert answer.status_code == 200
    return dict(answer.get_json())


def test_steps_cover_the_range(app: Flask, client: FlaskClient) -> None:
    olga = as_olga(app)
    for name, (seconds, count) in RANGES.items():
        found = usage(client, olga, name)
        starts = [datetime.fromisoformat(point["at"]) for point in found["points"]]
        step = timedelta(seconds=seconds)
        assert (found["range"], found["step_seconds"]) == (name, seconds)
        assert starts == [starts[0] + step * number for number in range(count)]
        assert (found["from"], found["to"]) == (found["points"][0]["at"], timestamp(starts[-1] + step))


def timestamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def test_usage_includes_a_request_of_a_moment_ago(make_app: MakeApp) -> None:
    app = make_app(rate="2/minute")
    client = app.test_client(use_cookies=False)
    alice, olga = bearer(app), as_olga(app)
    session = client.post("/token", headers=alice).get_json()["session"]["id"]
    assert client.post(
        f"/sessions/{session}/report",
        headers=alice,
        json={"first_audio_ms": 640, "speech_end_to_audio_ms": 910, "underruns": 2},
    )
    statuses = [client.post("/token", headers=alice).status_code for _ in range(4)]
    assert statuses == [200, 429, 429, 429]
    repeats.write_all()  # the repeated ones share a row
    found = usage(client, olga, "day")
    totals, last = found["totals"], found["points"][-1]
    assert (totals["tokens"], totals["refusals"]) == (2, {"rate-limited": 3})
    assert totals["mint_ms"].keys() == {"p50", "p95", "p99"}
    assert (totals["first_audio_ms"]["p50"], totals["underruns"]) == (640, 2)
    assert totals["speech_end_to_audio_ms"] == {"p50": 910, "p95": 910, "p99": 910}
    assert last.keys() == {
        "at", "tokens", "refusals", "mint_ms", "speech_end_to_audio_ms", "open_sessions", "minutes",
        "charged_minutes",
    }  # fmt: skip


def test_users_with_most_minutes_are_named(app: Flask, client: FlaskClient) -> None:
    olga = as_olga(app)
    make_traffic(parts_of(app).database, sessions=60, users=20)
    talkers = usage(client, olga, "week")["minutes_by_user"]
    minutes = [talker["minutes"] for talker in talkers]
    assert len(talkers) == 10
    assert minutes == sorted(minutes, reverse=True)
    for talker in talkers:
        assert talker["key"] == principal_key(talker["issuer"], talker["subject"])


def test_unknown_range_is_rejected_by_field_name(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/admin/usage?range=year", headers=as_olga(app))
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid-field")
    assert answer.get_json()["fields"] == [{"field": "range", "problem": "must be one of hour, day, week"}]


def test_only_operators_see_usage(client: FlaskClient, alice: dict[str, str]) -> None:
    assert client.get("/admin/usage").status_code == 401
    assert client.get("/admin/usage", headers=alice).status_code == 403
