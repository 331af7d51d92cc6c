"""A change that an operator makes through one worker applies to the next request on every worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.servers import BrokerServer

WORKERS = 4


@pytest.fixture(scope="module")
def several(make_broker: Any, standin: Any) -> BrokerServer:
    server: BrokerServer = make_broker(standin.url, workers=WORKERS, threads=4)
    server.add_user("alice")
    server.add_user("olga", roles=["operator"])
    return server


def answers(server: BrokerServer, path: str, headers: dict[str, str], times: int) -> list[dict[str, Any]]:
    """The answers to requests on separate connections, so that all workers take part."""

    def ask(_: int) -> dict[str, Any]:
        with server.client() as client:
            answer: dict[str, Any] = client.get(path, headers=headers).json()
            return answer

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(times)))


def test_limits_and_blocks_apply_at_once_on_every_worker(several: BrokerServer) -> None:
    alice = {"Authorization": f"Bearer {several.bearer('alice')}"}
    assert {answer["limits"]["sessions"]["limit"] for answer in answers(several, "/me", alice, 24)} == {1000}
    with several.client("olga") as olga:
        (user,) = olga.get("/admin/users", params={"query": "alice"}).json()["users"]
        for version, sessions in enumerate((3, 7, 5)):
            body = {"version": version, "sessions": sessions}
            assert olga.patch(f"/admin/users/{user['key']}/limits", json=body).status_code == 200
            limits = {answer["limits"]["sessions"]["limit"] for answer in answers(several, "/me", alice, 16)}
            assert limits == {sessions}
        assert olga.post(f"/admin/users/{user['key']}/block", json={}).status_code == 200
    assert {answer["code"] for answer in answers(several, "/me", alice, 16)} == {"account-blocked"}


def test_only_one_of_several_simultaneous_edits_succeeds(several: BrokerServer) -> None:
    with several.client("olga") as olga:
        (user,) = olga.get("/admin/users", params={"query": "olga"}).json()["users"]
    bearer = {"Authorization": f"Bearer {several.bearer('olga')}"}

    def edit(sessions: int) -> int:
        with several.client() as client:
            path, body = f"/admin/users/{user['key']}/limits", {"version": 0, "sessions": sessions}
            return client.patch(path, headers=bearer, json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(edit, range(1, 9)))
    assert sorted(answers) == [200] + [409] * 7
