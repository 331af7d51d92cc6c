"""The canary sweep over signing in with an issuer: after flows good and bad, each secret is looked for."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import httpx2

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.hostile_provider import HostileProvider
from tests.support.http_server import json_answer
from tests.support.provider import entry
from tests.support.servers import BrokerServer

CLIENT_SECRET = "canary-client-secret-0123456789"
PATH = "/auth/oidc/fake"


def begin(client: httpx2.Client, secrets: list[str]) -> str:
    """Press the button; what must not be seen again afterwards goes to `secrets`."""
    answer = client.get(PATH)
    address = answer.headers["location"]
    asked = dict(parse_qsl(urlsplit(address).query))
    cookie = re.match(r"[^=]+=([^;]+)", answer.headers["set-cookie"])
    assert cookie
    secrets += [asked["state"], asked["nonce"], cookie[1]]
    return address


def test_no_secret_in_logs_answers_or_database(standin: StandIn, make_broker: MakeBroker) -> None:
    with HostileProvider() as provider:
        toml = entry("fake", provider.url, client_secret_env="FAKE")
        env = {"BROKER_LOG_LEVEL": "debug", "BROKER_OIDC_FAKE_SECRET": CLIENT_SECRET}
        broker = make_broker(standin.url, toml=toml, env=env)
        # Not `canary`: that the codes and the access token begin so is no secret.
        secrets = [CLIENT_SECRET, "canary-words", provider.access_token]
        said = go_through_everything(broker, provider, secrets)
        broker.close()
    assert len(provider.given) >= 3
    secrets += provider.given
    secrets += [form[name] for _headers, form in provider.posted for name in ("code", "code_verifier")]
    secrets += [headers["Authorization"] for headers, _form in provider.posted]
    folder = Path(broker.environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///")).parent
    database = b"".join(path.read_bytes() for path in folder.glob("*.sqlite3*"))
    log = broker.log
    assert log.count('"route": "/auth/oidc/<issuer>/callback"') >= 12
    assert log.count("oidc_sign_in_failed") >= 9
    for secret in secrets:
        for form in {secret, quote(secret)}:
            assert form not in log, form[:16]
            assert form.encode() not in database, form[:16]
            assert not [text for text in said if form in text], form[:16]


def go_through_everything(broker: BrokerServer, provider: HostileProvider, secrets: list[str]) -> list[str]:
    """Every way in which a flow can end. Returns all that the broker said once the browser was back."""
    said: list[str] = []

    def hear(answer: httpx2.Response) -> None:
        assert answer.status_code == 303
        headers = [(name, value) for name, value in answer.headers.items() if name != "set-cookie"]
        said.append(answer.text + str(headers))

    with broker.client() as client:

        def back(**changed: str) -> None:
            params = {**provider.authorize(begin(client, secrets)), **changed}
            hear(client.get(f"{PATH}/callback", params=params))
            hear(client.get(f"{PATH}/callback", params=params))
            said.append(client.get("/").text)

        back()
        session = next(cookie for cookie in client.cookies.jar if cookie.name == "live-broker")
        secrets.append(str(session.value))
        back(state="wrong")
        back(iss="https://evil.example")
        back(error="canary-words", error_description="canary-words")
        back(code="canary-code-of-nobody")
        provider.claims = {"nonce": "wrong"}
        back()
        provider.claims = {"sub": "a\0b"}
        back()
        provider.claims = {}
        provider.answer = lambda: json_answer(
            {"error": "invalid_client", "error_description": "canary-words"}, 401
        )
        back()
        provider.answer = lambda: json_answer({"canary-words": "canary-words"}, 500)
        back()
        provider.answer = lambda: (302, {"Location": "/canary-words"}, b"canary-words")
        back()
        provider.answer = lambda: (200, {"Content-Type": "text/html"}, b"canary-words")
        back()
    return said
