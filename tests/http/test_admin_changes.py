"""Limits, sessions, keys and the audit trail in the admin API, on each database."""

from __future__ import annotations

from tests.http.admin import OperatorClient
from tests.http.conftest import bearer
from tests.support.keys import key_headers


def test_changed_limit_applies_to_next_request_and_has_a_version(olga: OperatorClient) -> None:
    alice, path = olga.user("alice"), f"users/{olga.user('alice')['key']}/limits"
    changed = olga.patch(path, {"version": alice["version"], "sessions": 1, "rate": "7/minute"})
    assert (changed["version"], changed["limits"]["rule"]) == (1, "own rate, sessions; default")
    assert (changed["limits"]["sessions"], changed["overrides"]["rate"]) == (1, "7/minute")
    headers = bearer(olga.app, "alice")
    assert olga.client.post("/token", headers=headers).get_json()["limits"]["sessions"]["limit"] == 1
    assert olga.client.post("/token", headers=headers).get_json()["code"] == "too-many-sessions"
    changed = olga.patch(path, {"version": 1, "sessions": None})
    assert (changed["version"], changed["overrides"]["sessions"]) == (2, None)
    assert changed["overrides"]["rate"] == "7/minute"
    assert olga.client.post("/token", headers=headers).status_code == 200
    detail = olga.trail("limits.set")["detail"]
    assert (detail["subject"], detail["before"]) == ("alice", {"rate": "7/minute", "sessions": 1})
    assert detail["after"] == {"rate": "7/minute"}


def test_stale_edit_changes_nothing_even_after_all_limits_were_cleared(olga: OperatorClient) -> None:
    path = f"users/{olga.user('alice')['key']}/limits"
    olga.patch(path, {"version": 0, "sessions": 3})
    for stale in (0, 2):
        refused = olga.refused("PATCH", path, {"version": stale, "sessions": 9})
        assert (refused["status"], refused["code"]) == (409, "edit-conflict")
    olga.patch(path, {"version": 1, "sessions": None})
    assert olga.refused("PATCH", path, {"version": 0, "sessions": 9})["code"] == "edit-conflict"
    assert olga.user("alice")["overrides"]["sessions"] is None
    assert len(olga.all("audit", action="limits.set")) == 2


def test_sessions_are_listed_newest_first_and_can_be_ended(olga: OperatorClient) -> None:
    shop = key_headers(olga.app, on_behalf_of="any")
    alice = bearer(olga.app, "alice")
    ids = [olga.client.post("/token", headers=alice).get_json()["session"]["id"] for _ in range(3)]
    asked = {"on_behalf_of": "Zoë", "client": {"app": "shop"}}
    ids.append(olga.client.post("/token", headers=shop, json=asked).get_json()["session"]["id"])
    olga.client.post(f"/sessions/{ids[0]}/report", headers=alice, json={"underruns": 2})
    rows = olga.all("sessions")
    assert [row["id"] for row in rows] == ids[::-1]
    assert (rows[0]["subject"], rows[0]["client"], rows[0]["state"]) == ("Zoë", {"app": "shop"}, "open")
    assert (rows[-1]["report"], rows[-2]["report"], rows[-1]["seconds"]) == ({"underruns": 2}, None, 900)
    backend = next(user for user in olga.all("users") if user["issuer"] == "live-broker:key")
    assert [row["id"] for row in olga.all("sessions", user=backend["key"])] == ids[3:]
    assert len(olga.all("sessions", user=olga.user("alice")["key"])) == 3
    ended = olga.post(f"sessions/{ids[0]}/end")
    assert (ended["id"], ended["state"], ended["honoured_until"] is not None) == (ids[0], "ended", True)
    assert olga.client.post(f"/sessions/{ids[0]}/heartbeat", headers=alice).get_json()["state"] == "ended"
    assert [row["id"] for row in olga.all("sessions")] == ids[:0:-1]
    (gone,) = [row for row in olga.all("sessions", state="all") if row["state"] == "ended"]
    assert (gone["id"], gone["ended_at"] is not None) == (ids[0], True)
    assert olga.refused("POST", f"sessions/{ids[0]}/end")["code"] == "session-ended"
    entry = olga.trail("session.end")
    assert (entry["session_id"], entry["detail"]["subject"]) == (ids[0], "alice")
    assert (entry["detail"]["before"], entry["detail"]["after"]) == ({"state": "open"}, {"state": "ended"})
    for unknown in (f"ses_{'0' * 32}", "x", "%00"):
        assert olga.refused("POST", f"sessions/{unknown}/end")["status"] == 404


def test_key_is_shown_once_and_works_until_it_is_revoked(olga: OperatorClient) -> None:
    made = olga.post("keys", {"name": "shop", "scopes": ["token", "read"], "expires_days": 3}, status=201)
    headers = {"X-API-Key": made["key"]}
    assert olga.client.get("/me", headers=headers).status_code == 200
    (listed,) = olga.all("keys")
    assert listed["scopes"] == ["read", "token"]
    assert made["key"] not in str(olga.all("keys")) + str(olga.all("audit"))
    assert olga.post(f"keys/{made['id']}/revoke") == {}
    assert olga.client.get("/me", headers=headers).get_json()["code"] == "invalid-token"
    assert olga.refused("POST", "keys/nobody/revoke")["code"] == "not-found"
    assert olga.refused("POST", "keys", {"name": "shop"})["fields"][0]["field"] == "name"
    assert olga.trail("key.create")["detail"]["after"]["scopes"] == "read token"
    assert olga.trail("key.revoke")["detail"]["before"] == {"revoked_at": None}


def test_audit_trail_is_filtered_and_paged(olga: OperatorClient) -> None:
    olga.client.post("/token", headers=bearer(olga.app, "alice"))
    olga.user_admin.sign_out("bob")
    entries = olga.all("audit")
    assert [entry["id"] for entry in entries] == sorted((entry["id"] for entry in entries), reverse=True)
    assert {entry["action"] for entry in olga.all("audit", actor="live-broker:ALICE")} == {"token"}
    assert [entry["action"] for entry in olga.all("audit", actor="cli:")] == ["user.sign-out"]
    assert olga.all("audit", actor="%") == []
    granted = olga.all("audit", action="token", outcome="ok")
    assert len(granted) == 1
    assert granted == olga.all("audit", session=granted[0]["session_id"], outcome="ok")
    assert granted[0] in olga.all("audit", request_id=granted[0]["request_id"])
    assert (
        olga.all("audit", until="2026-01-01T00:00:00Z")
        == olga.all("audit", since="2999-01-01T00:00:00Z")
        == []
    )
    assert len(olga.all("audit", since="2026-01-01T00:00:00+01:00")) >= len(entries)


def test_overview_counts_today(olga: OperatorClient) -> None:
    before = olga.get("overview")
    olga.client.post("/token", headers=bearer(olga.app, "alice"))
    olga.client.get("/admin/users", headers=bearer(olga.app, "alice"))
    after = olga.get("overview")
    assert after["project"]["sessions"]["open"] == before["project"]["sessions"]["open"] + 1
    changes = {name: after["today"][name] - before["today"][name] for name in after["today"]}
    assert changes == {"tokens": 1, "refusals": 1, "minutes": 15}
    assert "default" in [plan["name"] for plan in after["plans"]]


def test_client_learns_whether_an_operator_ended_its_session(olga: OperatorClient) -> None:
    alice = bearer(olga.app, "alice")
    by_operator, by_itself = (
        olga.client.post("/token", headers=alice).get_json()["session"]["id"] for _ in range(2)
    )
    olga.post(f"sessions/{by_operator}/end")
    olga.client.post(f"/sessions/{by_itself}/end", headers=alice)
    for session, words in (
        (by_operator, "An operator ended this session."),
        (by_itself, "This session has ended."),
    ):
        beat = olga.client.post(f"/sessions/{session}/heartbeat", headers=alice).get_json()
        assert (beat["state"], beat["message"]) == ("ended", words)
    renewal = olga.client.post(f"/sessions/{by_operator}/token", headers=alice, json={}).get_json()
    assert renewal["detail"] == "An operator ended this session. Open a new session with POST /token."
