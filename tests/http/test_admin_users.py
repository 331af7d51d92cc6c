"""/admin/users on each database: the known principals, their limits, and the actions on them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.admin import OperatorClient
from tests.http.conftest import bearer
from tests.support.keys import key_headers
from tests.support.servers import PASSWORD


def test_every_known_principal_is_listed_with_its_limits(olga: OperatorClient) -> None:
    shop = key_headers(olga.app, on_behalf_of="any")
    olga.client.post("/token", headers=shop, json={"on_behalf_of": "Zoë"}).get_json()
    olga.client.post("/token", headers=bearer(olga.app, "alice"))
    people = {person["subject"]: person for person in olga.all("users")}
    assert set(people) >= {"alice", "bob", "olga", "Zoë"}
    alice, zoe = people["alice"], people["Zoë"]
    assert (alice["own"], alice["open_sessions"], alice["minutes_today"]) == (True, 1, 15)
    assert (alice["blocked"], alice["version"], alice["limits"]["rule"]) == (None, 0, "default")
    assert set(alice["overrides"].values()) == {None}
    assert people["olga"]["roles"] == ["operator"]
    assert (zoe["own"], zoe["issuer"][:16], zoe["created_at"]) == (False, "live-broker:key:", None)
    backend = next(person for person in people.values() if person["issuer"] == "live-broker:key")
    assert (backend["name"], backend["open_sessions"]) == ("shop", 1)


def test_search_ignores_case_and_treats_wildcards_literally(olga: OperatorClient) -> None:
    shop = key_headers(olga.app, on_behalf_of="any")
    for user in ("50%_off", "500 off", "ÉMILE", "back\\slash"):
        assert olga.client.post("/token", headers=shop, json={"on_behalf_of": user}).status_code == 200

    def found(query: str) -> set[str]:
        return {person["subject"] for person in olga.get("users", query=query)["users"]}

    assert found("LIC") == {"alice"}
    assert found("%") == {"50%_off"}
    assert found("0%_") == {"50%_off"}
    assert found("ÉMIle") == {"ÉMILE"}
    assert found("\\") == {"back\\slash"}
    assert "alice" not in found("shop")
    assert len(found("shop")) == 1, "a service key is found by its name"


def test_pages_are_stable_when_a_user_is_added_between_them(olga: OperatorClient) -> None:
    for number in range(5):
        olga.user_admin.add(f"user-{number}0", PASSWORD)
    seen: list[str] = []
    page: dict[str, Any] = olga.get("users", query="user-", limit=2)
    seen += [person["subject"] for person in page["users"]]
    olga.user_admin.add("user-05", PASSWORD)  # before the current position
    olga.user_admin.add("user-25", PASSWORD)  # after the current position
    while page["next"]:
        page = olga.get("users", query="user-", limit=2, cursor=page["next"])
        seen += [person["subject"] for person in page["users"]]
    assert seen == ["user-00", "user-10", "user-20", "user-25", "user-30", "user-40"]


def test_added_user_can_sign_in(olga: OperatorClient) -> None:
    made = olga.post("users", {"username": "carol", "password": PASSWORD}, status=201)
    assert (made["subject"], made["plan"], made["roles"]) == ("carol", "default", [])
    answer = olga.client.post("/auth/login", json={"username": "carol", "password": PASSWORD})
    assert answer.status_code == 200
    entry = olga.trail("user.add")
    assert (entry["actor"], entry["detail"]["user"]) == ("live-broker:olga", "carol")
    assert (entry["detail"]["before"], entry["detail"]["after"]) == (None, {"plan": "default", "roles": []})
    again = olga.refused("POST", "users", {"username": "carol", "password": PASSWORD})
    assert (again["status"], again["code"], again["fields"][0]["field"]) == (422, "invalid-field", "username")


def test_user_is_shown_with_the_answer_to_its_next_token_request(olga: OperatorClient) -> None:
    alice = olga.user("alice")
    shown = olga.get(f"users/{alice['key']}")
    assert shown["next_token"]["answer"] == "granted"
    olga.post(f"users/{alice['key']}/block", {"reason": "left"})
    shown = olga.get(f"users/{alice['key']}")
    assert (shown["next_token"]["answer"], shown["next_token"]["status"]) == ("account-blocked", 403)
    assert shown["blocked"]["reason"] == "left"
    for unknown in ("0" * 40, "alice", "%", "0" * 400):
        assert olga.refused("GET", f"users/{unknown}")["code"] == "not-found"


def test_block_applies_at_once_and_unblocking_ends_it(olga: OperatorClient) -> None:
    alice, key = bearer(olga.app, "alice"), olga.user("alice")["key"]
    token = olga.client.post("/token", headers=alice).get_json()
    blocked = olga.post(f"users/{key}/block", {"reason": "left"})
    assert blocked["honoured_until"] == token["expires_at"]
    assert olga.client.get("/me", headers=alice).get_json()["code"] == "account-blocked"
    assert [person["subject"] for person in olga.all("users", state="blocked")] == ["alice"]
    assert olga.post(f"users/{key}/unblock") == {}
    assert olga.client.get("/me", headers=bearer(olga.app, "alice")).status_code == 200
    assert olga.refused("POST", f"users/{key}/unblock")["code"] == "edit-conflict"
    detail = olga.trail("user.block")["detail"]
    assert (detail["user"], detail["before"], detail["after"]["reason"]) == ("alice", None, "left")
    assert olga.trail("user.unblock")["detail"]["after"] is None


def test_users_of_other_issuers_can_be_blocked_and_unblocked(olga: OperatorClient) -> None:
    shop = key_headers(olga.app, on_behalf_of="any")
    asks = {"headers": shop, "json": {"on_behalf_of": "Zoë"}}
    assert olga.client.post("/token", **asks).status_code == 200
    key = olga.user("Zoë")["key"]
    olga.post(f"users/{key}/block", {})
    assert olga.client.post("/token", **asks).get_json()["code"] == "account-blocked"
    (block,) = olga.all("blocks")
    assert (block["kind"], block["subject"], block["issued_before"]) == ("principal", "Zoë", None)
    olga.post(f"users/{key}/unblock")
    assert olga.client.post("/token", **asks).status_code == 200
    for action, body in (("password", {"password": PASSWORD}), ("sign-out", {})):
        refused = olga.refused("POST", f"users/{key}/{action}", body)
        assert (refused["status"], refused["code"]) == (422, "invalid-field")


@pytest.mark.parametrize("action", ["password", "sign-out"])
def test_action_ends_every_bearer_token(olga: OperatorClient, action: str) -> None:
    alice, key = bearer(olga.app, "alice"), olga.user("alice")["key"]
    olga.post(f"users/{key}/{action}", {"password": "a new password"} if action == "password" else {})
    assert olga.client.get("/me", headers=alice).get_json()["code"] == "invalid-token"
    entry = olga.trail(f"user.{action}")
    assert entry["detail"]["before"].keys() == entry["detail"]["after"].keys()
    assert "a new password" not in str(entry)
