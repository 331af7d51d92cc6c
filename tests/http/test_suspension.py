"""The suspension of new tokens through the admin API, the dry run, the metric and the audit trail."""

from __future__ import annotations

import pytest

from tests.http.admin import OperatorClient
from tests.http.conftest import bearer

RESUMED = {
    "suspended": False,
    "reason": None,
    "profiles": None,
    "renewals": False,
    "since": None,
    "by": None,
}


def test_operator_suspends_and_resumes_new_tokens(olga: OperatorClient) -> None:
    headers = bearer(olga.app, "alice")
    assert olga.get("suspension") == RESUMED
    shown = olga.post("suspension", {"suspended": True, "reason": "Google is down."})
    assert (shown["suspended"], shown["reason"], shown["by"]) == (True, "Google is down.", "live-broker:olga")
    assert olga.get("suspension") == shown
    refused = olga.client.post("/token", headers=headers)
    assert (refused.status_code, refused.get_json()["code"]) == (503, "minting-suspended")
    assert refused.get_json()["detail"] == "Google is down."
    assert refused.headers["Retry-After"] == "30"
    assert olga.client.get("/readyz").status_code == 200
    assert olga.post("suspension", {"suspended": False}) == RESUMED
    assert olga.client.post("/token", headers=headers).status_code == 200


def test_reason_reaches_those_who_talk(olga: OperatorClient) -> None:
    headers = bearer(olga.app, "alice")
    session = olga.client.post("/token", headers=headers).get_json()["session"]["id"]

    def heard() -> tuple[str, str | None]:
        answer = olga.client.post(f"/sessions/{session}/heartbeat", headers=headers).get_json()
        return answer["state"], answer.get("message")

    assert heard() == ("open", None)
    olga.post("suspension", {"suspended": True, "reason": "We stop at six.", "profiles": ["storyteller"]})
    assert heard() == ("open", None)
    olga.post("suspension", {"suspended": True, "reason": "We stop at six."})
    assert heard() == ("open", "We stop at six.")
    olga.post("suspension", {"suspended": False})
    assert heard() == ("open", None)


def test_dry_run_reports_suspension(olga: OperatorClient) -> None:
    olga.post("suspension", {"suspended": True, "reason": "Maintenance."})
    told = olga.client.get("/me", headers=bearer(olga.app, "alice")).get_json()["next_token"]
    assert (told["granted"], told["code"], told["detail"]) == (False, "minting-suspended", "Maintenance.")
    alice = olga.get(f"users/{olga.user('alice')['key']}")
    assert alice["next_token"]["answer"] == "minting-suspended"


def test_suspension_is_counted_as_a_metric(olga: OperatorClient) -> None:
    def figure() -> str:
        text = olga.client.get("/metrics", headers=olga.headers).text
        return next(line for line in text.splitlines() if line.startswith("broker_minting_suspended"))

    olga.post("suspension", {"suspended": True, "reason": "Maintenance."})
    assert figure() == "broker_minting_suspended 1.0"


def test_suspension_costs_no_request_of_the_rate(olga: OperatorClient) -> None:
    headers = bearer(olga.app, "alice")
    before = olga.client.get("/me", headers=headers).get_json()["limits"]["rate"]
    olga.post("suspension", {"suspended": True, "reason": "Maintenance."})
    olga.client.post("/token", headers=headers)
    assert olga.client.get("/me", headers=headers).get_json()["limits"]["rate"] == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"suspended": True}, "reason"),
        ({"suspended": True, "reason": ""}, "reason"),
        ({"suspended": True, "reason": "a\nb"}, "reason"),
        ({"suspended": True, "reason": "why", "profiles": []}, "profiles"),
        ({"suspended": True, "reason": "why", "profiles": ["unknown"]}, "profiles"),
        ({"reason": "why"}, "suspended"),
        ({"suspended": "yes", "reason": "why"}, "suspended"),
    ],
)
def test_invalid_suspension_names_its_field_and_changes_nothing(
    olga: OperatorClient, change: dict[str, object], field: str
) -> None:
    refused = olga.refused("POST", "suspension", change)
    assert (refused["status"], refused["fields"][0]["field"]) == (422, field)
    assert olga.get("suspension") == RESUMED


def test_suspension_is_audited(olga: OperatorClient) -> None:
    olga.post("suspension", {"suspended": True, "reason": "why", "profiles": ["default"], "renewals": True})
    terms = {"reason": "why", "profiles": ["default"], "renewals": True}
    assert olga.trail("suspend")["detail"] == {"before": None, "after": terms}
    olga.post("suspension", {"suspended": False})
    entry = olga.trail("resume")
    assert (entry["actor"], entry["detail"]) == ("live-broker:olga", {"before": terms, "after": None})
