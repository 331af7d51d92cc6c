"""GET /.well-known/jwks.json. A rotation of the secret or the signing key signs no one out."""

from __future__ import annotations

import shutil
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask.testing import FlaskClient

from broker.parts import parts_of
from tests.http.conftest import MakeApp, bearer
from tests.support.servers import PASSWORD


def new_pem() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_key_set_is_empty_without_a_signing_key(client: FlaskClient) -> None:
    answer = client.get("/.well-known/jwks.json")
    assert (answer.status_code, answer.get_json(force=True)) == (200, {"keys": []})


def test_key_set_verifies_the_brokers_bearer_tokens(make_app: MakeApp) -> None:
    app = make_app(env={"BROKER_SIGNING_KEY": new_pem(), "BROKER_SIGNING_KEY_PREVIOUS": new_pem()})
    answer = app.test_client().get("/.well-known/jwks.json")
    assert answer.mimetype == "application/jwk-set+json"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert "Set-Cookie" not in answer.headers
    keys = answer.get_json(force=True)["keys"]
    assert [set(key) for key in keys] == [{"crv", "kty", "x", "kid", "use", "alg"}] * 2
    token = bearer(app)["Authorization"].split()[1]
    key = jwt.PyJWKSet.from_dict({"keys": keys})[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, audience="live-broker")["sub"] == "alice"
    assert app.test_client().get("/me", headers=bearer(app)).status_code == 200


@pytest.mark.parametrize("rotated", ["secret", "key"])
def test_rotation_keeps_everyone_signed_in(make_app: MakeApp, tmp_path: Path, rotated: str) -> None:
    first = make_app(env={"BROKER_SIGNING_KEY": (pem := new_pem())} if rotated == "key" else {})
    parts = parts_of(first)
    held = bearer(first)
    browser = first.test_client()
    signed_in = browser.post("/auth/login", json={"username": "alice", "password": PASSWORD}).get_json()
    cookie = browser.get_cookie("live-broker")
    assert cookie is not None
    parts.database.dispose()
    if rotated == "secret":
        env = {"BROKER_SECRET_KEY_PREVIOUS": parts.settings.secret_key.get_secret_value()}
    else:
        env = {
            "BROKER_SIGNING_KEY": new_pem(),
            "BROKER_SIGNING_KEY_PREVIOUS": pem,
            "BROKER_SECRET_KEY": parts.settings.secret_key.get_secret_value(),
        }
    old_file = str(parts.database.engine.url.database)
    kept = shutil.copy(old_file, tmp_path / "kept.sqlite3")
    second = make_app(env={**env, "BROKER_DATABASE_URL": f"sqlite:///{kept}"})
    assert second.test_client().post("/token", headers=held).status_code == 200
    again = second.test_client()
    again.set_cookie("live-broker", cookie.value)
    headers = {"X-CSRF-Token": signed_in["csrf_token"], "Origin": "http://localhost"}
    assert again.post("/token", headers=headers).status_code == 200
