"""Refusals say what a developer can do next."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient

from tests.http.conftest import bearer


def test_invalid_token_says_where_a_new_one_is_to_be_had(client: FlaskClient) -> None:
    for headers in ({"Authorization": "Bearer a.b.c"}, {"X-API-Key": "lbk_000000000000_wrong"}):
        problem = client.post("/token", headers=headers).get_json()
        assert problem["code"] == "invalid-token"
        assert "get a new token from your issuer" in problem["hint"]
        assert problem["request_id"]


def test_forbidden_field_comes_with_the_allowed_ones(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    problem = client.post("/token", headers=bearer(app), json={"modell": "x"}).get_json()
    assert (problem["code"], problem["fields"][0]["field"]) == ("field-not-allowed", "modell")
    assert problem["hint"] == "The fields are: profile, ttl_seconds, client."
    nested = client.post("/token", headers=bearer(app), json={"client": {"os": "x"}}).get_json()
    assert "hint" not in nested, "the fields of the body would mislead"


def test_query_and_body_without_fields(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    answer = client.post("/sessions/ses_x/end", headers=bearer(app), json={"why": 1})
    assert answer.get_json()["hint"] == "There are no fields here."
    listed = client.get("/admin/audit?actr=bob", headers=bearer(app, "olga")).get_json()
    assert "actor" in listed["hint"]
