"""Attestation proves that a genuine app sends the request. It never replaces a credential."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from broker.parts import parts_of
from broker.standin import StandIn
from broker.store.database.tables import audit, sessions
from tests.http.conftest import MakeApp, bearer, block_admin
from tests.support.issuers import KeyServer, claims, entry, signer

HEADER = "X-Firebase-AppCheck"
APP = signer("app-check")
PROFILE = """
[profiles.{name}]
models = ["gemini-3.8-live"]
attestation = "{attestation}"
[profiles.{name}.config]
response_modalities = ["AUDIO"]
"""


class Apps:
    def __init__(self, server: KeyServer) -> None:
        self.issuer = f"{server.url}/123456789012"
        keys = server.publish("/v1/jwks", [APP])
        lines = ['kind = "attestation"', 'audience = "projects/123456789012"', "max_life_seconds = 604800"]
        self.toml = entry("app-check", self.issuer, keys, *lines)
        self.toml += entry("also-a-bearer", f"{server.url}/users", keys)
        for name in ("monitor", "enforce"):
            self.toml += PROFILE.format(name=name, attestation=name)
        self.users = f"{server.url}/users"

    def token(self, **changed: Any) -> str:
        good = {"aud": ["projects/123456789012", "projects/my-project"], "sub": "1:123456789012:web:abc"}
        return APP.token(claims(self.issuer, **{**good, **changed}))


@pytest.fixture
def apps() -> Iterator[Apps]:
    with KeyServer() as server:
        yield Apps(server)


@pytest.fixture
def app(make_app: MakeApp, apps: Apps) -> Flask:
    return make_app(toml=apps.toml)


def ask(app: Flask, profile: str, attestation: str | None = None, path: str = "/token") -> Any:
    headers = bearer(app) | ({HEADER: attestation} if attestation is not None else {})
    body = {"profile": profile} if path == "/token" else {}
    return app.test_client(use_cookies=False).post(path, json=body, headers=headers)


def open_sessions(app: Flask) -> int:
    with parts_of(app).database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(sessions)).scalar_one())


def test_genuine_app_gets_a_token(app: Flask, apps: Apps) -> None:
    assert ask(app, "enforce", apps.token()).status_code == 200


BAD: dict[str, Callable[[Apps], str | None]] = {
    "absent": lambda _: None,
    "empty": lambda _: "",
    "garbage": lambda _: "garbage",
    "twice": lambda apps: f"{apps.token()},{apps.token()}",
    "of another project": lambda apps: apps.token(aud="projects/1"),
    "of another issuer": lambda apps: apps.token(iss="https://firebaseappcheck.googleapis.com/1"),
    "of another key": lambda apps: signer("mallory").token(claims(apps.issuer), kid="app-check"),
    "expired": lambda apps: apps.token(iat=1, exp=600),
    "a user's token": lambda apps: APP.token(claims(apps.users)),
}


@pytest.mark.parametrize("name", BAD)
def test_enforcing_profile_refuses_without_a_good_attestation(
    app: Flask, apps: Apps, standin: StandIn, name: str
) -> None:
    minted = len(standin.control.received()["mints"])
    answer = ask(app, "enforce", BAD[name](apps))
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (403, "forbidden")
    assert HEADER in problem["detail"]
    assert open_sessions(app) == 0
    assert len(standin.control.received()["mints"]) == minted
    with parts_of(app).database.read() as connection:
        query = select(audit.c.outcome).where(audit.c.action == "token")
        assert [row.outcome for row in connection.execute(query)] == ["forbidden"]


def test_monitoring_profile_only_logs(app: Flask, apps: Apps, caplog: pytest.LogCaptureFixture) -> None:
    for attestation in (None, "garbage", apps.token()):
        assert ask(app, "monitor", attestation).status_code == 200
    said = [record.msg["event"] for record in caplog.records if isinstance(record.msg, dict)]
    events = [event for event in said if event.startswith("attestation")]
    assert events == ["attestation_failed", "attestation_failed", "attestation_passed"]


def test_profile_without_attestation_ignores_the_header(app: Flask) -> None:
    assert ask(app, "default", "garbage").status_code == 200


def test_each_further_token_needs_attestation(app: Flask, apps: Apps) -> None:
    session = ask(app, "enforce", apps.token()).get_json()["session"]["id"]
    path = f"/sessions/{session}/token"
    assert ask(app, "enforce", None, path).get_json()["code"] == "forbidden"
    assert ask(app, "enforce", apps.token(), path).status_code == 200


def test_attestation_is_not_a_credential(app: Flask, apps: Apps) -> None:
    client = app.test_client(use_cookies=False)
    alone = client.post("/token", headers={HEADER: apps.token()})
    assert alone.get_json()["code"] == "missing-credentials"
    as_bearer = client.post("/token", headers={"Authorization": f"Bearer {apps.token()}"})
    assert as_bearer.get_json()["code"] == "invalid-token"


def test_missing_keys_stop_enforcing_profiles_only(make_app: MakeApp) -> None:
    with KeyServer() as server:
        apps = Apps(server)
        server.answers.clear()
        app = make_app(toml=apps.toml)
        answer = ask(app, "enforce", apps.token())
        assert (answer.status_code, answer.get_json()["code"]) == (503, "keys-unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert ask(app, "monitor", apps.token()).status_code == 200


def test_pages_of_allowed_origins_may_send_the_header(make_app: MakeApp, apps: Apps) -> None:
    app = make_app(toml=apps.toml, env={"BROKER_ALLOWED_ORIGINS": "https://app.example"})
    answer = app.test_client().options(
        "/token", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    )
    assert HEADER in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "block",
    [
        lambda admin, issuer: admin.block_issuer(issuer),
        lambda admin, issuer: admin.block("1:123456789012:web:abc", issuer),
        lambda admin, issuer: admin.block_token(issuer, "leaked"),
    ],
    ids=["issuer", "app", "token"],
)
def test_blocked_app_is_refused(app: Flask, apps: Apps, block: Callable[[Any, str], None]) -> None:
    token = apps.token(jti="leaked")
    assert ask(app, "enforce", token).status_code == 200
    block(block_admin(app), apps.issuer)
    assert ask(app, "enforce", token).get_json()["code"] == "forbidden"
