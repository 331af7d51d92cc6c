"""Each entry in docs/issuers.md works as printed, with a token exactly as its service issues it.

Only addresses change, to the test's own key server. Ids, algorithms, audiences and claims come from the
document. The content of each service's tokens is written down below.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.docs.markdown import section
from tests.http.conftest import MakeApp, bearer
from tests.support.issuers import KeyServer, signer

NOW = int(time.time())
ENTRIES: dict[str, tuple[dict[str, Any], str]] = {
    (entry := tomllib.loads(text)["issuers"][0])["name"]: (entry, text)
    for heading in ("## Entries", "## Attestation")
    for text in re.findall(r"^```toml\n(.*?)^```$", section("docs/issuers.md", heading), re.M | re.S)
}
# Headers that differ from {"alg", "kid", "typ": "JWT"}; `...` omits a member.
HEADERS: dict[str, dict[str, Any]] = {
    "cognito": {"typ": ..., "kid": "1234example="},
    "cognito-id": {"typ": ..., "kid": "1234example="},
    "clerk": {"cat": "cl_B7d4PD111AAA", "kid": "ins_2abc"},
}
# Keys that differ from {"kty", "kid", "use": "sig", "alg"}.
KEYS: dict[str, dict[str, Any]] = {
    "entra": {
        "alg": ...,
        "x5t": "AAAA",
        "x5c": ["MIIC"],
        "issuer": "https://login.microsoftonline.com/x/v2.0",
    },
    "keycloak": {"x5c": ["MIIC"], "x5t": "AAAA", "x5t#S256": "AAAA"},
    "supabase": {"key_ops": ["verify"], "ext": True},
}
LIVES = {"clerk": 60, "auth0": 86400, "entra": 5000, "keycloak": 300, "app-check": 3600}
# Everything but iss, iat and exp.
CLAIMS: dict[str, dict[str, Any]] = {
    "firebase": {
        "aud": "my-project", "sub": "k8yZ3Q0XqzN5oTq1pW2eR4tY6uI8", "user_id": "k8yZ3Q0XqzN5oTq1pW2eR4tY6uI8",
        "auth_time": NOW - 3000, "name": "Ada", "picture": "https://lh3.example/a", "plan": "gold",
        "email": "ada@example.com", "email_verified": True,
        "firebase": {"identities": {"email": ["ada@example.com"]}, "sign_in_provider": "password"},
    },
    "google": {
        "azp": "1234567890-abc123.apps.googleusercontent.com",
        "aud": "1234567890-abc123.apps.googleusercontent.com", "sub": "110169484474386276334",
        "email": "ada@example.com", "email_verified": True, "nbf": NOW - 300, "name": "Ada Lovelace",
        "picture": "https://lh3.example/a", "given_name": "Ada", "family_name": "Lovelace",
        "jti": "161803398874def",
    },
    "auth0": {
        "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
        "aud": ["https://voice.my-app.example", "https://my-tenant.eu.auth0.com/userinfo"],
        "azp": "my-spa-client-id", "scope": "openid profile", "permissions": [],
        "https://my-app.example/plan": "gold", "https://my-app.example/roles": ["editor", "voice-operator"],
    },
    "cognito": {
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "device_key": "eu-west-1_aaaa",
        "cognito:groups": ["customers", "voice-operators"], "version": 2,
        "client_id": "4example5app6client7id", "origin_jti": "aaaa", "event_id": "bbbb",
        "token_use": "access", "scope": "openid profile", "auth_time": NOW - 300, "jti": "cccc",
        "username": "ada",
    },
    "cognito-id": {
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "email_verified": True, "cognito:username": "ada",
        "origin_jti": "aaaa", "aud": "4example5app6client7id", "event_id": "bbbb", "token_use": "id",
        "auth_time": NOW - 300, "custom:plan": "gold", "jti": "cccc", "email": "ada@example.com",
    },
    "clerk": {
        "azp": "https://my-app.example", "fva": [7, -1], "jti": "d0c5b7d1a2", "nbf": NOW - 310,
        "sid": "sess_2abc", "sts": "active", "sub": "user_2abcDEFghiJKL", "v": 2, "pla": "u:pro",
        "fea": "u:voice", "o": {"id": "org_2abc", "rol": "admin", "slg": "my-org", "per": "", "fpm": ""},
    },
    "supabase": {
        "sub": "123e4567-e89b-12d3-a456-426614174000", "aud": "authenticated", "email": "ada@example.com",
        "phone": "", "app_metadata": {"provider": "email", "providers": ["email"], "plan": "gold"},
        "user_metadata": {"email": "ada@example.com", "plan": "platinum"}, "role": "authenticated",
        "aal": "aal1", "amr": [{"method": "password", "timestamp": NOW - 300}],
        "session_id": "9f3b2c1d-0000-4000-8000-000000000000", "is_anonymous": False,
    },
    "entra": {
        "aud": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "nbf": NOW - 300, "aio": "AWQAm/8",
        "azp": "99999999-8888-7777-6666-555555555555", "azpacr": "0", "name": "Ada Lovelace",
        "oid": "00000000-0000-0000-66f3-3332eca7ea81", "preferred_username": "ada@example.com",
        "rh": "0.AXX", "roles": ["Voice.Operator"], "scp": "access_as_user", "sub": "pairwise-subject",
        "tid": "11111111-2222-3333-4444-555555555555", "uti": "uti", "ver": "2.0",
    },
    "keycloak": {
        "jti": "onrtac:d58f5dc8-fd8f-462b-8a19-716f8f83985b", "aud": ["live-broker", "account"],
        "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da", "typ": "Bearer", "azp": "my-spa",
        "sid": "2a88c258-f73a-4103-b862-e1fbd8f4e04e", "acr": "1",
        "allowed-origins": ["https://my-app.example"],
        "realm_access": {"roles": ["offline_access", "uma_authorization", "voice-operator"]},
        "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
        "scope": "openid email profile", "email_verified": True, "name": "Ada Lovelace",
        "preferred_username": "ada", "plan": "gold",
    },
    "app-check": {
        "sub": "1:123456789012:web:abc", "aud": ["projects/123456789012", "projects/my-project"],
        "provider": "recaptcha_v3", "jti": "aaaa",
    },
}  # fmt: skip
GOLD = {"firebase", "auth0", "cognito-id", "supabase", "keycloak"}
OPERATORS = {"auth0", "cognito", "entra", "keycloak"}
# For each entry, a change that it must reject.
FOREIGN: dict[str, dict[str, Any]] = {
    "firebase": {"aud": "another-project"},
    "google": {"email_verified": False},
    "auth0": {"azp": "another-client"},
    "cognito": {"token_use": "id"},
    "cognito-id": {"token_use": "access"},
    "clerk": {"azp": "https://evil.example"},
    "supabase": {"is_anonymous": True},
    "entra": {"tid": "00000000-0000-0000-0000-000000000000"},
    "keycloak": {"typ": "ID"},
    "app-check": {"aud": ["projects/1"]},
}
PLANS = """
[plans.gold]
rate = "10/minute"
sessions = 1
minutes_per_day = 1
session_minutes = 1
"""
ATTESTED = """
[profiles.attested]
models = ["gemini-3.8-live"]
attestation = "enforce"
[profiles.attested.config]
response_modalities = ["AUDIO"]
"""


class Service:
    """One entry, with its addresses replaced by those of the local key server."""

    def __init__(self, name: str, server: KeyServer) -> None:
        self.name = name
        entry, self.toml = ENTRIES[name]
        path = "/" + entry["issuer"].removeprefix("https://").partition("/")[2]
        self.issuer = server.url + path.rstrip("/" if not entry["issuer"].endswith("/") else "")
        self.key = signer(HEADERS.get(name, {}).get("kid", name), entry["algorithms"][0])
        published = [self.key.jwk(**KEYS.get(name, {})), signer("encryption").jwk(use="enc", alg="RSA-OAEP")]
        server.answers["/the-keys"] = {"keys": published}
        self.toml = self.toml.replace(f'"{entry["issuer"]}"', f'"{self.issuer}"')
        if "jwks_url" in entry:
            self.toml = self.toml.replace(entry["jwks_url"], f"{server.url}/the-keys")
        document = {"issuer": self.issuer, "jwks_uri": f"{server.url}/the-keys"}
        server.answers[path.rstrip("/") + "/.well-known/openid-configuration"] = document

    def token(self, **changed: Any) -> str:
        issued_at = int(time.time()) - 5
        times = {"iat": issued_at, "exp": issued_at + LIVES.get(self.name, 3600)}
        claims = {"iss": self.issuer, **times, **CLAIMS[self.name], **changed}
        return self.key.token(claims, **HEADERS.get(self.name, {}))


@pytest.fixture(params=ENTRIES)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with KeyServer() as server:
        yield Service(request.param, server)


@pytest.fixture
def app(make_app: MakeApp, service: Service) -> Flask:
    attested = ATTESTED if service.name == "app-check" else ""
    return make_app(toml=PLANS + attested + service.toml)


def ask(app: Flask, service: Service, token: str, path: str = "/token") -> Any:
    client = app.test_client(use_cookies=False)
    method = "POST" if path == "/token" else "GET"
    if service.name == "app-check":
        headers = {**bearer(app), "X-Firebase-AppCheck": token}
        return client.open(path, method=method, json={"profile": "attested"}, headers=headers)
    return client.open(path, method=method, headers={"Authorization": f"Bearer {token}"})


def test_every_entry_has_a_token_and_every_service_an_entry() -> None:
    assert set(ENTRIES) == set(CLAIMS) == set(FOREIGN)
    services = {"firebase", "google", "auth0", "cognito", "clerk", "supabase", "entra", "keycloak"}
    assert services <= set(ENTRIES)


def test_token_of_the_service_is_accepted(app: Flask, service: Service) -> None:
    answer = ask(app, service, service.token())
    assert answer.status_code == 200, answer.get_json()


def test_token_that_the_entry_excludes_is_rejected(app: Flask, service: Service) -> None:
    answer = ask(app, service, service.token(**FOREIGN[service.name]))
    expected = (403, "forbidden") if service.name == "app-check" else (401, "invalid-token")
    assert (answer.status_code, answer.get_json()["code"]) == expected


def test_subject_plan_and_roles_come_from_the_claims(app: Flask, service: Service) -> None:
    if service.name == "app-check":
        # It identifies an app. The bearer token identifies the user.
        assert ENTRIES["app-check"][0]["kind"] == "attestation"
        return
    me = ask(app, service, service.token(), "/me").get_json()
    subject = CLAIMS[service.name]["oid" if service.name == "entra" else "sub"]
    assert me["principal"] == {"issuer": service.issuer, "subject": subject}
    assert me["plan"] == ("gold" if service.name in GOLD else "default")
    assert me["roles"] == (["operator"] if service.name in OPERATORS else [])


def test_auth0_rfc_9068_token_is_accepted(make_app: MakeApp) -> None:
    """An RFC 9068 token has the type `at+jwt`, and `client_id` instead of `azp`."""
    with KeyServer() as server:
        service = Service("auth0", server)
        app = make_app(toml=PLANS + service.toml)
        claims = {k: v for k, v in CLAIMS["auth0"].items() if k != "azp"}
        claims |= {"iss": service.issuer, "iat": NOW, "exp": NOW + 86400, "client_id": "my-spa-client-id"}
        token = service.key.token({**claims, "jti": "aaaa"}, typ="at+jwt")
        assert ask(app, service, token).status_code == 200
