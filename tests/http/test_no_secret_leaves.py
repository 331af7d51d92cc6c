"""After every flow, no secret is in anything that the broker wrote."""

from __future__ import annotations

import json
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support import warm_python
from tests.support.issuers import KeyServer, claims, entry, signer
from tests.support.keys import key_admin, make_key
from tests.support.servers import BrokerServer

PASSWORD = "canary-password-0123456789"


def test_google_error_text_is_not_passed_on(make_broker: MakeBroker) -> None:
    """Google's message about a suspended key contains the key itself."""
    with StandIn(port=0) as standin:
        broker = make_broker(standin.url)
        broker.add_user("alice")
        key = broker.environ["GEMINI_API_KEY"]
        standin.control.scenario("mint-status", status=403, message=f"Consumer 'api_key:{key}' is suspended.")
        with broker.client("alice") as client:
            answer = client.post("/token")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream-rejected")
        assert "suspended" not in answer.text
        assert key not in answer.text
        assert key not in broker.log


def test_no_secret_in_logs_errors_or_database(standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, rate="3/minute", env={"BROKER_LOG_LEVEL": "debug"})
    broker.add_user("alice", PASSWORD)
    said: list[str] = []
    with broker.client() as client:
        login = client.post("/auth/login", json={"username": "alice", "password": PASSWORD})
        cookie = login.headers["set-cookie"].split("=", 1)[1].split(";")[0]
        access_token = login.json()["access_token"]
        csrf = login.json()["csrf_token"]
        client.cookies.clear()
        bearer = {"Authorization": f"Bearer {access_token}"}
        minted = client.post("/token", headers=bearer).json()
        secrets = [PASSWORD, cookie, access_token, csrf, minted["token"]]
        secrets += [broker.environ["GEMINI_API_KEY"], broker.environ["BROKER_SECRET_KEY"]]
        for answer in (
            client.post("/auth/login", json={"username": "alice", "password": PASSWORD + "x"}),
            client.post("/auth/login", json={"username": PASSWORD, "password": PASSWORD}),
            client.post("/auth/login", json={"username": "alice", "secret": PASSWORD}),
            client.post("/auth/login", json={"username": "alice", "password": [PASSWORD]}),
            client.post("/auth/login", content=f'{{"password": "{PASSWORD}"'),
            client.post("/token", headers={"Authorization": f"Bearer {access_token}x"}),
            client.post("/token", headers={"Authorization": access_token}),
            client.post("/token", params={"access_token": access_token}),
            client.post("/token", headers={**bearer, "X-API-Key": PASSWORD}),
            client.post("/token", headers={"Cookie": f"live-broker={cookie}"}),
            client.post("/token", json={"profile": minted["token"]}, headers=bearer),
            client.post("/token", json={minted["token"]: 1}, headers=bearer),
            client.get(f"/{minted['token']}"),
            *(client.post("/token", headers=bearer) for _ in range(4)),
        ):
            assert answer.status_code in {200, 400, 401, 403, 404, 415, 422, 429}
            said.append(answer.text if answer.status_code != 200 else "")
            said.append(str(dict(answer.headers)))
    broker.close()  # writes what was only counted
    database = b"".join(
        path.read_bytes()
        for path in Path(broker.environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///")).parent.glob(
            "*.sqlite3*"
        )
    )
    log = broker.log
    assert requests_in(log) >= 19
    for secret in secrets:
        assert secret not in log, secret[:12]
        assert secret.encode() not in database, secret[:12]
        assert not [text for text in said if secret in text], secret[:12]


def test_no_service_key_or_guest_cookie_in_logs_answers_or_database(
    standin: StandIn, make_broker: MakeBroker
) -> None:
    guests = '[guests]\nenabled = true\naddress_rate = "2/hour"\n'
    broker = make_broker(standin.url, rate="3/minute", toml=guests, env={"BROKER_LOG_LEVEL": "debug"})
    made = make_key(broker, "canary", on_behalf_of="acme:*")
    key = made.secret
    typo = key[:-1] + ("x" if key[-1] != "x" else "y")
    headers = {"X-API-Key": key}
    said: list[str] = []
    with broker.client() as client:
        minted = client.post("/token", json={"on_behalf_of": "acme:1"}, headers=headers).json()
        session = f"/sessions/{minted['session']['id']}"
        page = {"Sec-Fetch-Site": "same-origin"}
        welcome = client.get("/me", headers=page)
        cookie = welcome.headers["set-cookie"].split("=", 1)[1].split(";")[0]
        csrf = welcome.json()["csrf_token"]
        client.cookies.clear()
        guest = {"Cookie": f"live-broker={cookie}", "X-CSRF-Token": csrf, "Origin": broker.url}
        renewed = client.post(f"{session}/token", headers=headers).json()
        tokens = [minted["token"], renewed["token"], client.post("/token", headers=guest).json()["token"]]
        for answer in (
            client.get("/me", headers=headers),
            client.post(f"{session}/heartbeat", headers=headers),
            client.delete(session, headers=headers),
            client.post("/token", headers={"X-API-Key": typo}),
            client.post("/token", headers={"X-API-Key": f"{key},{key}"}),
            client.post("/token", headers={**headers, "Authorization": f"Bearer {key}"}),
            client.post("/token", headers={"Authorization": f"Bearer {key}"}),
            client.post("/token", params={"api_key": key}),
            client.get(f"/{key}"),
            client.get(f"/sessions/{key}"),
            client.post(f"/sessions/{key}/token", headers=headers),
            client.post("/token", json={"on_behalf_of": key}, headers=headers),
            client.post("/token", json={"profile": key[:60]}, headers=headers),
            client.post("/token", json={key: 1}, headers=headers),
            client.post("/token", json={"on_behalf_of": key}, headers=guest),
            client.post("/token", headers={**guest, "Cookie": f"live-broker={cookie}0"}),
            client.post("/token", headers={**guest, "X-CSRF-Token": csrf[::-1]}),
            *(client.post("/token", json={"on_behalf_of": "acme:1"}, headers=headers) for _ in range(4)),
            *(client.post("/token", headers=guest) for _ in range(3)),
        ):
            assert answer.status_code < 500
            text = answer.text
            if answer.status_code == 200 and "token" in answer.json():
                tokens.append(answer.json()["token"])
                text = ""
            said += [text, str(dict(answer.headers))]
        key_admin(broker).revoke("canary")
        said.append(client.post("/token", headers=headers).text)
    secrets = [key, key[17:], key[17:60], cookie, cookie.rsplit(".")[-1], csrf, *tokens]
    broker.close()
    log, database = broker.log, stored(broker)
    assert requests_in(log) >= 25
    for secret in secrets:
        assert secret not in log, secret[:12]
        assert secret.encode() not in database, secret[:12]
        assert not [text for text in said if secret in text], secret[:12]


def requests_in(log: str) -> int:
    """How many requests the lines stand for."""
    lines = [json.loads(line) for line in log.splitlines() if '"event": "request"' in line]
    return sum(line.get("times", 1) for line in lines)


def stored(broker: BrokerServer) -> bytes:
    """Returns every byte of the database and its journal."""
    path = Path(broker.environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///"))
    return b"".join(file.read_bytes() for file in path.parent.glob("*.sqlite3*"))


def test_no_password_or_signing_key_in_logs_answers_or_database(
    standin: StandIn, make_broker: MakeBroker
) -> None:
    """Password changes, blocks, throttling, sign-outs and rotated keys write no secret."""
    signing, previous = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    env = {
        "BROKER_LOG_LEVEL": "debug",
        "BROKER_SECRET_KEY_PREVIOUS": token_urlsafe(48),
        "BROKER_SIGNING_KEY": pem(signing),
        "BROKER_SIGNING_KEY_PREVIOUS": pem(previous),
    }
    broker = make_broker(standin.url, env=env)
    secrets = [PASSWORD, PASSWORD + "-next", env["BROKER_SECRET_KEY_PREVIOUS"]]
    secrets += [
        line for name in ("BROKER_SIGNING_KEY", "BROKER_SIGNING_KEY_PREVIOUS") for line in body(env[name])
    ]
    said = [command(broker, "users", "add", "alice", stdin=PASSWORD)]
    with broker.client() as client:

        def post(path: str, **more: Any) -> None:
            answer = client.post(path, **more)
            client.cookies.clear()
            assert answer.status_code in {204, 400, 401, 403, 404, 422, 429}, path
            said.extend((answer.text, str(dict(answer.headers))))

        signed_in = client.post("/auth/login", json={"username": "alice", "password": PASSWORD})
        cookie = signed_in.headers["set-cookie"].split("=", 1)[1].split(";")[0]
        secrets += [cookie, signed_in.json()["csrf_token"], signed_in.json()["access_token"]]
        bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
        other = command(broker, "token", "alice").strip()
        secrets.append(other)
        jti = str(jwt.decode(other, options={"verify_signature": False})["jti"])
        said.append(client.get("/.well-known/jwks.json").text)
        said.append(command(broker, "blocks", "add", "--issuer", "live-broker", "--jti", jti))
        post("/token", headers={"Authorization": f"Bearer {other}"})
        post("/auth/logout", headers=bearer)
        post("/token", headers=bearer)
        said.append(command(broker, "users", "password", "alice", stdin=PASSWORD + "-next"))
        for password in (PASSWORD, PASSWORD + "-next"):
            for _ in range(4):
                post("/auth/login", json={"username": "bob", "password": password})
        said.append(command(broker, "users", "block", "alice"))
        said.append(command(broker, "users", "list", "--json"))
        post("/auth/login", json={"username": "alice", "password": PASSWORD + "-next"})
        said.append(command(broker, "explain", "alice", "--json"))
        said.append(command(broker, "blocks", "list", "--json"))
    written = broker.log + "".join(said)
    for secret in secrets:
        assert secret not in written, secret[:12]
        assert secret.encode() not in database_bytes(broker), secret[:12]


def pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def body(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("-")]


def command(broker: BrokerServer, *arguments: str, stdin: str = "") -> str:
    """Returns everything that the command printed."""
    done = warm_python.run("broker.cli", arguments, env=broker.environ, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def database_bytes(broker: BrokerServer) -> bytes:
    file = Path(broker.environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///"))
    return b"".join(path.read_bytes() for path in file.parent.glob("*.sqlite3*"))


def test_no_external_token_in_logs_answers_or_database(standin: StandIn, make_broker: MakeBroker) -> None:
    """Covers accepted, refused and trial bearer tokens, and attestations, at log level debug."""
    key = signer("rsa")
    with KeyServer() as server:
        keys = server.publish("/keys", [key])
        names = ("users", "trial", "apps")
        issuers = {name: f"{server.url}/{name}" for name in names}
        toml = entry("users", issuers["users"], keys) + entry(
            "trial", issuers["trial"], keys, 'mode = "audit"'
        )
        toml += entry("apps", issuers["apps"], keys, 'kind = "attestation"')
        broker = make_broker(standin.url, toml=toml, env={"BROKER_LOG_LEVEL": "debug"})
        good, trial, app = (key.token(claims(issuers[name])) for name in names)
        expired = key.token(claims(issuers["users"], iat=1, exp=600))
        forged = signer("mallory").token(claims(issuers["users"]), kid="rsa")
        said = []
        with broker.client() as client:
            for token in (good, trial, expired, forged, app):
                headers = {"Authorization": f"Bearer {token}", "X-Firebase-AppCheck": app}
                answer = client.post("/token", headers=headers)
                said.append(str(answer.headers) + (answer.text if token != good else ""))
    database = b"".join(
        path.read_bytes()
        for path in Path(broker.environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///")).parent.glob(
            "*.sqlite3*"
        )
    )
    assert "issuer_audited" in broker.log
    for token in (good, trial, expired, forged, app):
        # Only the signature is searched for, because different tokens begin with the same text.
        canary = token.rsplit(".", 1)[1]
        assert canary not in broker.log
        assert canary.encode() not in database
        assert not [text for text in said if canary in text]
