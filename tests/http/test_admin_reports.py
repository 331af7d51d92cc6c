"""What operators read: all blocks, users by use, changes apart from refusals, and the last hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from broker.operators.limits import LimitAdmin
from broker.parts import parts_of
from broker.telemetry import repeats
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer, block_admin
from tests.support.keys import key_headers


class Shift:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


def blocks_of(olga: OperatorClient, **parameters: Any) -> set[tuple[str, str]]:
    return {(block["kind"], block["subject"]) for block in olga.all("blocks", **parameters)}


def test_everything_that_is_blocked_is_in_one_list_and_can_be_unblocked(olga: OperatorClient) -> None:
    shop = key_headers(olga.app, on_behalf_of="any")
    assert olga.client.post("/token", headers=shop, json={"on_behalf_of": "Zoë"}).status_code == 200
    for name in ("alice", "Zoë"):
        olga.post(f"users/{olga.user(name)['key']}/block", {"reason": "left"})
    block_admin(olga.app).block_token("live-broker", "token-7")
    block_admin(olga.app).block_issuer("live-broker:guest")
    wanted = {("user", "alice"), ("principal", "Zoë"), ("jti", "token-7"), ("issuer", "")}
    assert blocks_of(olga, state="liftable") == wanted
    listed = olga.get("blocks", state="liftable")["blocks"]
    assert {block["can_unblock"] for block in listed} == {True}
    for block in listed:
        if block["key"] is not None:
            olga.post(f"users/{block['key']}/unblock")
        else:
            token = {"jti": block["subject"]} if block["subject"] else {}
            olga.post("blocks/remove", {"issuer": block["issuer"], **token})
    assert blocks_of(olga, state="liftable") == set()
    assert olga.trail("unblock.jti")["actor"] == "live-broker:olga"
    assert olga.refused("POST", "blocks/remove", {"issuer": "live-broker:guest"})["code"] == "not-found"


def test_sign_out_is_no_block_that_an_operator_can_lift(olga: OperatorClient) -> None:
    alice = bearer(olga.app, "alice")
    assert olga.client.post("/auth/logout", headers=alice).status_code == 204
    (signed_out,) = olga.all("blocks")
    assert (signed_out["kind"], signed_out["can_unblock"]) == ("jti", False)
    assert blocks_of(olga, state="liftable") == set()
    token = {"issuer": signed_out["issuer"], "jti": signed_out["subject"]}
    assert olga.refused("POST", "blocks/remove", token)["code"] == "edit-conflict"
    assert olga.client.get("/me", headers=alice).status_code == 401


def test_users_are_sorted_by_what_they_use(olga: OperatorClient) -> None:
    parts = parts_of(olga.app)
    LimitAdmin(parts.settings, parts.database, actor="tests").set("bob", {"session_minutes": 5})
    for name, times in (("alice", 1), ("bob", 2)):
        for _ in range(times):
            assert olga.client.post("/token", headers=bearer(olga.app, name)).status_code == 200
    by_name = [person["subject"] for person in olga.all("users")]
    by_sessions = [person["subject"] for person in olga.all("users", sort="sessions")]
    by_minutes = [
        (person["subject"], person["minutes_today"]) for person in olga.all("users", sort="minutes")
    ]
    assert by_name == sorted(by_name)
    assert by_sessions == ["bob", "alice", *(name for name in by_name if name not in {"alice", "bob"})]
    assert by_minutes[:2] == [("alice", 15), ("bob", 10)]
    assert [person["subject"] for person in olga.all("users", sort="minutes", query="b")] == ["bob"]
    assert olga.refused("GET", "users", sort="age")["code"] == "invalid-field"


def test_changes_and_refusals_are_apart(make_app: MakeApp) -> None:
    olga = OperatorClient.of(make_app(rate="2/minute"))
    alice = bearer(olga.app, "alice")
    sessions = [olga.client.post("/token", headers=alice).get_json()["session"]["id"] for _ in range(2)]
    assert olga.client.post("/token", headers=alice).status_code == 429
    olga.client.post(f"/sessions/{sessions[0]}/end", headers=alice)
    olga.post(f"sessions/{sessions[1]}/end")
    olga.post(f"users/{olga.user('alice')['key']}/block", {"reason": "left"})

    def found(kind: str) -> list[tuple[str, str, str]]:
        entries = olga.all("audit", kind=kind)
        return [(entry["actor"], entry["action"], entry["outcome"]) for entry in entries]

    changes = [entry for entry in found("changes") if entry[1] not in {"user.add", "user.token"}]
    assert changes == [("live-broker:olga", "user.block", "ok"), ("live-broker:olga", "session.end", "ok")]
    assert found("refusals") == [("live-broker:alice", "token", "rate-limited")]
    assert olga.refused("GET", "audit", kind="all")["code"] == "invalid-field"


def test_overview_has_the_refusals_of_the_last_hour_by_code_and_by_actor(make_app: MakeApp) -> None:
    clock = Shift()
    olga = OperatorClient.of(make_app(rate="2/minute", clock=clock))
    assert olga.get("overview")["first_session_at"] is None
    alice, bob = bearer(olga.app, "alice"), bearer(olga.app, "bob")
    for headers, times in ((alice, 5), (bob, 3)):
        for _ in range(times):
            olga.client.post("/token", headers=headers)
    repeats.write_all()
    now = olga.get("overview")
    assert now["last_hour"] == {
        "refusals": {"rate-limited": 4},
        "most_refused": [
            {"actor": "live-broker:alice", "refusals": 3},
            {"actor": "live-broker:bob", "refusals": 1},
        ],
    }
    assert now["first_session_at"] is not None
    clock.by += timedelta(minutes=61)
    assert olga.get("overview")["last_hour"] == {"refusals": {}, "most_refused": []}


def test_charged_and_talked_minutes_have_names_of_their_own(olga: OperatorClient) -> None:
    assert olga.client.post("/token", headers=bearer(olga.app, "alice")).status_code == 200
    found = olga.get("usage", range="hour")
    assert found["totals"]["charged_minutes"] == olga.get("overview")["today"]["minutes"] == 15
    assert found["totals"]["minutes"] < 1
    (talker,) = found["minutes_by_user"]
    assert (talker["charged_minutes"], talker["minutes"]) == (15, found["totals"]["minutes"])
    assert found["points"][-1]["open_sessions"] == olga.get("overview")["project"]["sessions"]["open"] == 1
