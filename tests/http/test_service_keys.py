"""Service keys: the routes a key may use, the users it may act for, and who is charged and audited."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from broker.operators.blocks import BlockAdmin
from broker.operators.errors import OperatorError
from broker.operators.limits import LimitAdmin
from broker.parts import parts_of
from broker.principal import KEY_ISSUER, principal_key
from broker.standin import StandIn
from broker.store.database.tables import audit, principals, service_keys, sessions
from tests.conftest import MakeBroker
from tests.http.conftest import MakeApp, bearer, block_admin
from tests.support.keys import key_admin, key_headers, make_key, stored_keys
from tests.support.servers import PASSWORD

PLANS = """
[plans.backend]
rate = "{backend}"
sessions = 1000
minutes_per_day = 10000
session_minutes = {minutes}
[profiles.kiosk]
models = ["gemini-3.8-live"]
plans = ["backend"]
[profiles.kiosk.config]
response_modalities = ["AUDIO"]
"""


def plans(backend: str = "1000/minute", minutes: int = 30) -> str:
    return PLANS.format(backend=backend, minutes=minutes)


def audit_rows(app: Flask, action: str) -> list[tuple[str, str, Any]]:
    query = select(audit.c.actor, audit.c.outcome, audit.c.detail).where(
        audit.c.action == action, audit.c.outcome != "reserved"
    )
    with parts_of(app).database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(audit.c.id))]


def post(client: FlaskClient, headers: dict[str, str], **body: Any) -> Any:
    return client.post("/token", json=body, headers=headers)


def result(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json().get("code", "")


@pytest.fixture
def shop(app: Flask) -> dict[str, str]:
    return key_headers(app, on_behalf_of="any")


def test_key_mints_for_itself(app: Flask, client: FlaskClient) -> None:
    made = make_key(app)
    answer = post(client, {"X-API-Key": made.secret})
    assert answer.status_code == 200
    assert "on_behalf_of" not in answer.get_json()
    assert audit_rows(app, "token") == [(f"{KEY_ISSUER}:{made.key.id}", "ok", None)]


def test_creating_and_revoking_leave_one_audit_row_each(app: Flask) -> None:
    made = make_key(app, on_behalf_of="acme:*")
    for _ in range(2):
        key_admin(app).revoke("shop")
    (created,) = audit_rows(app, "key.create")
    assert (created[2]["id"], created[2]["after"]["on_behalf_of_prefix"]) == (made.key.id, "acme:")
    assert made.secret not in str(created)
    assert made.key.secret_hmac not in str(created)
    assert len(audit_rows(app, "key.revoke")) == 1


def test_revoked_and_expired_keys_are_rejected(app: Flask, client: FlaskClient) -> None:
    made = make_key(app, expires_days=1)
    headers = {"X-API-Key": made.secret}
    assert client.get("/me", headers=headers).status_code == 200
    database = parts_of(app).database
    with database.write() as connection:
        past = database.now(connection) - timedelta(seconds=1)
        connection.execute(update(service_keys).values(expires_at=past))
    answer = client.get("/me", headers=headers)
    assert result(answer) == (401, "token-expired")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    key_admin(app).revoke(made.key.id)
    assert result(client.get("/me", headers=headers)) == (401, "invalid-token")


@pytest.mark.parametrize("value", ["", " ", "abc", "lbk_x", "bearer lbk_x", "é", "x" * 4000])
def test_text_that_is_not_a_key_is_rejected(client: FlaskClient, value: str) -> None:
    assert result(client.post("/token", headers={"X-API-Key": value})) == (401, "invalid-token")


def test_keys_and_bearer_tokens_are_not_interchangeable(app: Flask, client: FlaskClient) -> None:
    key = key_headers(app)["X-API-Key"]
    token = bearer(app)["Authorization"].split()[1]
    assert result(client.post("/token", headers={"Authorization": f"Bearer {key}"})) == (401, "invalid-token")
    assert result(client.post("/token", headers={"X-API-Key": token})) == (401, "invalid-token")


def test_request_must_carry_exactly_one_credential(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    browser = app.test_client()
    browser.post("/auth/login", json={"username": "alice", "password": PASSWORD})
    twice = {"X-API-Key": f"{shop['X-API-Key']},{shop['X-API-Key']}"}
    for answer in (
        client.post("/token", headers={**shop, **bearer(app)}),
        client.post("/token", headers={"X-API-Key": "bad", **bearer(app)}),
        client.post("/token", headers={**shop, "Authorization": ""}),
        browser.post("/token", headers=shop),
        client.post("/token", headers=twice),
        client.post("/token", headers=[("X-API-Key", shop["X-API-Key"])] * 2),
        client.post("/token", query_string={"api_key": shop["X-API-Key"]}),
    ):
        assert result(answer) == (400, "bad-request")


def test_scope_allows_only_its_own_routes(app: Flask, client: FlaskClient) -> None:
    opened = post(client, key_headers(app, "minter", scopes=["token"])).get_json()["session"]["id"]
    routes = {
        "token": [("POST", "/token")],
        "sessions": [
            ("POST", f"/sessions/{opened}/token"),
            ("POST", f"/sessions/{opened}/heartbeat"),
            ("POST", f"/sessions/{opened}/report"),
            ("POST", f"/sessions/{opened}/end"),
            ("DELETE", f"/sessions/{opened}"),
        ],
        "read": [("GET", "/me"), ("GET", "/profiles")],
        "nobody": [("POST", "/auth/logout")],
    }
    for held in ("token", "sessions", "read"):
        headers = key_headers(app, f"only-{held}", scopes=[held])
        for scope, places in routes.items():
            for method, path in places:
                answer = client.open(path, method=method, headers=headers)
                refused = answer.status_code == 403 and answer.get_json()["code"] == "forbidden"
                assert refused == (scope != held), (held, path)
    assert ("forbidden") in {outcome for _, outcome, _ in audit_rows(app, "scope:sessions")}


def test_profiles_of_a_key_narrow_those_of_its_plan(make_app: MakeApp) -> None:
    app = make_app(toml=plans())
    client = app.test_client(use_cookies=False)
    headers = key_headers(app, plan="backend", profiles=["kiosk"], on_behalf_of="any")
    assert [p["name"] for p in client.get("/profiles", headers=headers).get_json()["profiles"]] == ["kiosk"]
    assert result(post(client, headers)) == (403, "profile-forbidden")
    assert result(post(client, headers, on_behalf_of="u1")) == (403, "profile-forbidden")
    # The key decides which profiles its users get, although their own plan is `default`.
    answer = post(client, headers, profile="kiosk", on_behalf_of="u1").get_json()
    path = f"/sessions/{answer['session']['id']}/token"
    assert client.post(path, headers=headers).status_code == 200
    assert result(post(client, bearer(app), profile="kiosk")) == (403, "profile-forbidden")


def test_session_belongs_to_the_user_and_names_the_key(app: Flask, client: FlaskClient) -> None:
    made = make_key(app, on_behalf_of="any")
    answer = post(client, {"X-API-Key": made.secret}, on_behalf_of="user 1").get_json()
    assert answer["on_behalf_of"] == "user 1"
    with parts_of(app).database.read() as connection:
        row = connection.execute(select(sessions)).one()
        known = {(p.issuer, p.subject) for p in connection.execute(select(principals))}
    issuer = f"{KEY_ISSUER}:{made.key.id}"
    assert row.principal_key == principal_key(issuer, "user 1")
    assert row.acting_key == principal_key(KEY_ISSUER, made.key.id)
    people = {("live-broker", name) for name in ("alice", "bob", "olga")}
    assert known - people == {(issuer, "user 1"), (KEY_ISSUER, made.key.id)}


def test_key_controls_the_sessions_that_it_opened(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    first = post(client, shop, on_behalf_of="u1").get_json()
    session = f"/sessions/{first['session']['id']}"
    second = client.post(f"{session}/token", headers=shop).get_json()
    assert (second["on_behalf_of"], second["session"]["id"]) == ("u1", first["session"]["id"])
    assert client.post(f"{session}/heartbeat", headers=shop).get_json()["state"] == "open"
    (listed,) = client.get("/me", headers=shop).get_json()["sessions"]
    assert (listed["id"], listed["on_behalf_of"]) == (first["session"]["id"], "u1")
    assert client.delete(session, headers=shop).get_json()["state"] == "ended"
    assert result(client.post(f"{session}/token", headers=shop)) == (409, "session-ended")
    who = parts_of(app).service_keys.verify(shop["X-API-Key"]).id
    actor, detail = f"{KEY_ISSUER}:{who}", {"on_behalf_of": "u1"}
    assert audit_rows(app, "token") == [(actor, "ok", detail)] * 2
    assert audit_rows(app, "session.end") == [(actor, "ok", detail)]


def test_session_of_a_keys_user_is_unknown_to_everyone_else(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    session = post(client, shop, on_behalf_of="alice").get_json()["session"]["id"]
    for headers in (bearer(app, "alice"), key_headers(app, "other", on_behalf_of="any")):
        for method, path in (("POST", "/token"), ("POST", "/heartbeat"), ("POST", "/end"), ("DELETE", "")):
            answer = client.open(f"/sessions/{session}{path}", method=method, headers=headers)
            assert result(answer) == (404, "session-unknown")
        assert client.get("/me", headers=headers).get_json()["sessions"] == []


@pytest.mark.parametrize("value", ["u1", "", None, 7, "e\N{COMBINING ACUTE ACCENT}"])
def test_only_keys_may_act_for_a_user(app: Flask, client: FlaskClient, value: Any) -> None:
    answer = post(client, bearer(app), on_behalf_of=value)
    assert result(answer) == (422, "field-not-allowed")
    assert [field["field"] for field in answer.get_json()["fields"]] == ["on_behalf_of"]


@pytest.mark.parametrize(
    ("permission", "value", "outcome"),
    [
        (None, "u1", (403, "forbidden")),
        ("acme:*", "acme:u1", (200, "")),
        ("acme:*", "acme:", (403, "forbidden")),
        ("acme:*", "Acme:u1", (403, "forbidden")),
        ("acme:*", "other:u1", (403, "forbidden")),
        ("any", "", (422, "invalid-field")),
        ("any", None, (422, "invalid-field")),
        ("any", 7, (422, "invalid-field")),
        ("any", ["u1"], (422, "invalid-field")),
        ("any", "x" * 256, (422, "invalid-field")),
        ("any", "e\N{COMBINING ACUTE ACCENT}", (422, "invalid-field")),
        ("any", "\N{LATIN SMALL LETTER E WITH ACUTE}", (200, "")),
        ("any", "a\N{ZERO WIDTH SPACE}b", (422, "invalid-field")),
        ("any", "a\0", (422, "invalid-field")),
    ],
)
def test_key_acts_only_for_users_that_its_permission_covers(
    app: Flask, client: FlaskClient, permission: str | None, value: Any, outcome: tuple[int, str]
) -> None:
    assert result(post(client, key_headers(app, on_behalf_of=permission), on_behalf_of=value)) == outcome
    if outcome[1] == "forbidden":
        assert [row[1] for row in audit_rows(app, "token")] == ["forbidden"]


def test_lone_surrogate_is_not_a_valid_user(client: FlaskClient, shop: dict[str, str]) -> None:
    headers = {**shop, "Content-Type": "application/json"}
    answer = client.post("/token", data=b'{"on_behalf_of":"\\ud800"}', headers=headers)
    assert result(answer) == (422, "invalid-field")


def left(client: FlaskClient, headers: dict[str, str]) -> int:
    return int(client.get("/me", headers=headers).get_json()["limits"]["rate"][0]["remaining"])


def test_key_and_user_are_both_charged(make_app: MakeApp) -> None:
    app = make_app(rate="3/minute", toml=plans("10/minute"))
    client = app.test_client(use_cookies=False)
    shop = key_headers(app, plan="backend", on_behalf_of="any")
    answer = post(client, shop, on_behalf_of="u1").get_json()
    assert answer["limits"]["rate"][0]["policy"] == "3/minute"
    assert answer["limits"]["rate"][0]["remaining"] == 2
    assert left(client, shop) == 9
    session = answer["session"]["id"]
    for expected in (200, 200, 200, 429):
        assert client.post(f"/sessions/{session}/token", headers=shop).status_code == expected


def test_refused_user_does_not_charge_the_key(make_app: MakeApp) -> None:
    app = make_app(rate="2/minute", toml=plans("10/minute"))
    client = app.test_client(use_cookies=False)
    shop = key_headers(app, plan="backend", on_behalf_of="any")
    statuses = [post(client, shop, on_behalf_of="u1").status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    assert left(client, shop) == 8
    assert post(client, shop, on_behalf_of="u2").status_code == 200


def test_exhausted_key_does_not_charge_its_users(make_app: MakeApp) -> None:
    app = make_app(rate="10/minute", toml=plans("2/minute"))
    client = app.test_client(use_cookies=False)
    shop = key_headers(app, plan="backend", on_behalf_of="any")
    answers = [post(client, shop, on_behalf_of="u1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    problem = answers[-1].get_json()
    assert problem["violated-policies"] == ["2/minute"]
    assert "service key" in problem["detail"]
    rates = parts_of(app).rates
    user = stored_keys(app)[0].acting_for("u1")
    assert rates.left("10/minute", "token", user.key)[0].remaining == 8


def test_shorter_session_of_both_plans_applies(make_app: MakeApp) -> None:
    app = make_app(toml=plans(minutes=5))
    client = app.test_client(use_cookies=False)
    shop = key_headers(app, plan="backend", on_behalf_of="any")
    answer = post(client, shop, on_behalf_of="u1").get_json()
    assert answer["expires_in"] == 300


def test_upstream_refusal_is_audited_with_key_and_user(make_app: MakeApp) -> None:
    app = make_app(live_url="http://127.0.0.1:9")
    made = make_key(app, on_behalf_of="any")
    answer = post(app.test_client(), {"X-API-Key": made.secret}, on_behalf_of="u1")
    assert result(answer) == (502, "upstream-error")
    rows = audit_rows(app, "token")
    assert rows == [(f"{KEY_ISSUER}:{made.key.id}", "upstream-error", {"on_behalf_of": "u1"})]


def test_blocked_users_and_blocked_keys_are_refused(app: Flask, client: FlaskClient) -> None:
    made = make_key(app, on_behalf_of="any")
    headers = {"X-API-Key": made.secret}
    session = post(client, headers, on_behalf_of="u1").get_json()["session"]["id"]
    parts = parts_of(app)
    admin = BlockAdmin(parts.settings, parts.database, actor="tests")
    admin.block("u1", issuer=f"{KEY_ISSUER}:{made.key.id}")
    assert result(post(client, headers, on_behalf_of="u1")) == (403, "account-blocked")
    renewed = client.post(f"/sessions/{session}/token", headers=headers)
    assert renewed.status_code in {403, 409}
    assert post(client, headers, on_behalf_of="u2").status_code == 200
    admin.block(made.key.id, issuer=KEY_ISSUER)
    assert result(post(client, headers, on_behalf_of="u2")) == (403, "account-blocked")
    assert result(post(client, headers)) == (403, "account-blocked")


def test_each_credential_type_is_a_separate_principal(
    app: Flask, client: FlaskClient, shop: dict[str, str]
) -> None:
    """The password user, the service key's user and the key itself share no session and no limit."""
    post(client, shop, on_behalf_of="alice")
    post(client, shop)
    post(client, bearer(app, "alice"))
    with parts_of(app).database.read() as connection:
        owners = set(connection.execute(select(sessions.c.principal_key)).scalars())
        issuers = set(connection.execute(select(principals.c.issuer)).scalars())
    assert len(owners) == 3
    key_id = stored_keys(app)[0].id
    assert issuers == {"live-broker", KEY_ISSUER, f"{KEY_ISSUER}:{key_id}"}


def test_last_use_is_not_recorded_at_every_request(app: Flask, client: FlaskClient) -> None:
    headers = key_headers(app)
    for _ in range(2):
        client.get("/me", headers=headers)
    (first,) = stored_keys(app)
    assert first.last_used_at is not None
    client.get("/me", headers=headers)
    assert stored_keys(app)[0].last_used_at == first.last_used_at


def test_revocation_applies_to_the_next_request_on_every_worker(
    standin: StandIn, make_broker: MakeBroker
) -> None:
    broker = make_broker(standin.url, workers=4, threads=4)
    headers = key_headers(broker, on_behalf_of="any")
    for _ in range(20):
        with broker.client() as client:  # one connection each, so that every worker sees the key
            assert client.get("/me", headers=headers).status_code == 200
    key_admin(broker).revoke("shop")
    for _ in range(20):
        with broker.client() as client:
            answer = client.post("/token", json={"on_behalf_of": "u1"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token")


def test_name_that_is_the_id_of_another_key_is_rejected(app: Flask) -> None:
    first = make_key(app, "first").key
    with pytest.raises(OperatorError) as rejected:
        make_key(app, first.id)
    assert rejected.value.field == "name"
    key_admin(app).revoke("first")
    with pytest.raises(OperatorError):
        make_key(app, first.id)
    assert [key.name for key in stored_keys(app)] == ["first"]


@pytest.mark.parametrize("how", ["revoke", "block", "admin API", "limits"])
def test_key_named_like_the_id_of_another_does_not_shield_it(
    app: Flask, client: FlaskClient, how: str
) -> None:
    """Earlier versions allowed such a name."""
    target, shield = make_key(app, "target"), make_key(app, "shield")
    parts = parts_of(app)
    with parts.database.write() as connection:
        named = update(service_keys).where(service_keys.c.id == shield.key.id)
        connection.execute(named.values(name=target.key.id))
    headers = {name: {"X-API-Key": made.secret} for name, made in (("target", target), ("shield", shield))}
    if how == "revoke":
        assert key_admin(app).revoke(target.key.id).name == "target"
    elif how == "block":
        block_admin(app).block(target.key.id, KEY_ISSUER)
    elif how == "admin API":
        path = f"/admin/keys/{target.key.id}/revoke"
        assert client.post(path, json={}, headers=bearer(app, "olga")).status_code == 200
    else:
        limits = LimitAdmin(parts.settings, parts.database, actor="tests")
        limits.set(target.key.id, {"rate": "1/day"}, KEY_ISSUER)
        for made in (target, shield):
            client.post("/token", headers={"X-API-Key": made.secret})
    answers = {name: client.post("/token", headers=sent).status_code for name, sent in headers.items()}
    refused = {"revoke": 401, "admin API": 401, "block": 403, "limits": 429}[how]
    assert answers == {"target": refused, "shield": 200}
    key_admin(app).revoke(shield.key.id)
    assert client.post("/token", headers=headers["shield"]).status_code == 401
