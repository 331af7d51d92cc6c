"""Roles can be taken away, and there is always an operator left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask

from broker.operators.blocks import BlockAdmin
from broker.operators.errors import LastOperator, OperatorError
from broker.operators.users import UserAdmin
from broker.parts import parts_of
from broker.principal import OPERATOR, Principal
from broker.store.accounts.users import SqlUsers
from tests.http.admin import OperatorClient
from tests.http.conftest import MakeApp, bearer
from tests.support.issuers import entry
from tests.support.servers import PASSWORD

IDP = "https://idp.example/"
ISSUER = entry(
    "idp",
    IDP,
    "http://127.0.0.1:9/keys",
    'audience = "app"',
    'operator_claim = "roles"',
    'operator_values = ["admin"]',
)


def operators(app: Flask) -> set[str]:
    users = SqlUsers(parts_of(app).database).all()
    return {user.username for user in users if OPERATOR in user.roles and user.blocked_at is None}


def block(olga: OperatorClient, subject: str) -> Any:
    path = f"/admin/users/{olga.user(subject)['key']}/block"
    return olga.client.post(path, headers=olga.headers, json={})


def set_roles(olga: OperatorClient, subject: str, *roles: str) -> Any:
    path = f"/admin/users/{olga.user(subject)['key']}/roles"
    return olga.client.post(path, headers=olga.headers, json={"roles": roles})


def admins(app: Flask, actor: str) -> tuple[UserAdmin, BlockAdmin]:
    parts = parts_of(app)
    return (
        UserAdmin(parts.settings, parts.database, actor=actor),
        BlockAdmin(parts.settings, parts.database, actor=actor),
    )


def test_last_operator_keeps_role_and_access(olga: OperatorClient) -> None:
    for answer in (block(olga, "olga"), set_roles(olga, "olga")):
        assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")
        assert "last operator" in answer.get_json()["detail"]
    users, blocks = admins(olga.app, "cli:root")
    with pytest.raises(LastOperator):
        blocks.block("olga")
    with pytest.raises(LastOperator):
        users.set_roles("olga", [])
    assert operators(olga.app) == {"olga"}
    assert set_roles(olga, "olga", "operator").status_code == 200, "no change"


def test_role_can_be_given_and_taken_away_at_once(olga: OperatorClient) -> None:
    alice = bearer(olga.app, "alice")

    def status() -> int:
        return olga.client.get("/admin/users", headers=alice).status_code

    assert status() == 403
    assert set_roles(olga, "alice", "operator").status_code == 200
    assert status() == 200, "with the same bearer"
    assert olga.user("alice")["roles"] == ["operator"]
    assert set_roles(olga, "alice").status_code == 200
    assert status() == 403
    detail = olga.trail("user.roles")["detail"]
    assert (detail["user"], detail["before"], detail["after"]) == (
        "alice", {"roles": ["operator"]}, {"roles": []},
    )  # fmt: skip


def test_operator_may_go_when_another_stays(olga: OperatorClient) -> None:
    olga.user_admin.set_roles("alice", [OPERATOR])
    assert block(olga, "alice").status_code == 200
    assert block(olga, "olga").status_code == 403, "alice is blocked"
    admins(olga.app, "cli:root")[1].unblock("alice")
    assert set_roles(olga, "olga").status_code == 200
    assert operators(olga.app) == {"alice"}


@pytest.mark.parametrize("how", ["block", "role"])
def test_two_operators_cannot_remove_each_other(olga: OperatorClient, how: str) -> None:
    users, _ = admins(olga.app, "cli:root")
    users.add("otto", PASSWORD, roles=[OPERATOR])
    for _ in range(5):
        start = Barrier(2)

        def remove(actor: str, other: str, start: Barrier = start) -> str:
            acting, blocks = admins(olga.app, f"live-broker:{actor}")
            start.wait(10)
            try:
                blocks.block(other) if how == "block" else acting.set_roles(other, [])
            except LastOperator:
                return "refused"
            return "done"

        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(remove, "olga", "otto"), pool.submit(remove, "otto", "olga")]
            assert sorted(answer.result() for answer in answers) == ["done", "refused"]
        (left,) = operators(olga.app)
        gone = ({"olga", "otto"} - {left}).pop()
        if how == "block":
            admins(olga.app, "cli:root")[1].unblock(gone)
        users.set_roles(gone, [OPERATOR])


def test_operators_of_an_issuer_replace_own_ones(make_app: MakeApp) -> None:
    app = make_app(toml=ISSUER)
    for actor in ("live-broker:olga",):
        users, blocks = admins(app, actor)
        with pytest.raises(LastOperator):
            blocks.block("olga")
        with pytest.raises(LastOperator):
            users.set_roles("olga", [])
    users, blocks = admins(app, f"{IDP}:eve")
    users.set_roles("olga", [])
    assert operators(app) == set()
    parts_of(app).sign_ins.open(Principal(IDP, "eve", "Eve", "default", frozenset({OPERATOR})))
    with pytest.raises(LastOperator):
        blocks.block("eve", IDP)
    blocks.block("other", IDP)


@pytest.mark.parametrize("roles", [["root"], ["operator", "operator"], "operator", None, [1]])
def test_unknown_roles_are_rejected(olga: OperatorClient, roles: Any) -> None:
    path = f"users/{olga.user('alice')['key']}/roles"
    refused = olga.refused("POST", path, {"roles": roles})
    assert (refused["status"], refused["code"]) == (422, "invalid-field")
    assert operators(olga.app) == {"olga"}


def test_only_own_users_have_roles_here(make_app: MakeApp) -> None:
    users, _ = admins(make_app(toml=ISSUER), "cli:root")
    with pytest.raises(OperatorError):
        users.set_roles("u-1", [OPERATOR], IDP)
    with pytest.raises(OperatorError):
        users.set_roles("nobody", [OPERATOR])
