"""After good and bad sign-ins with an issuer, no secret is in the logs, the answers or the database."""

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
    """Presses the button. Adds each value that must not appear afterwards to `secrets`."""
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
        # Not `canary` alone: codes and the access token begin with it, and that is no secret.
        secrets = [CLIENT_SECRET, "canary-words", provider.access_token]
        answers = run_every_flow(broker, provider, secrets)
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
            assert not [text for text in answers if form in text], form[:16]


def run_every_flow(broker: BrokerServer, provider: HostileProvider, secrets: list[str]) -> list[str]:
    """Runs a flow to each possible end. Returns every answer that the returning browser gets."""
    answers: list[str] = []

    def record(answer: httpx2.Response) -> None:
        assert answer.status_code == 303
        headers = [(name, value) for name, value in answer.headers.items() if name != "set-cookie"]
        answers.append(answer.text + str(headers))

    with broker.client() as client:

        def finish(**changed: str) -> None:
            params = {**provider.authorize(begin(client, secrets)), **changed}
            record(client.get(f"{PATH}/callback", params=params))
            record(client.get(f"{PATH}/callback", params=params))
            answers.append(client.get("/").text)

        finish()
        session = next(cookie for cookie in client.cookies.jar if cookie.name == "live-broker")
        secrets.append(str(session.value))
        finish(state="wrong")
        finish(iss="https://evil.example")
        finish(error="canary-words", error_description="canary-words")
        finish(code="canary-code-of-nobody")
        provider.claims = {"nonce": "wrong"}
        finish()
        provider.claims = {"sub": "a\0b"}
        finish()
        provider.claims = {}
        provider.answer = lambda: json_answer(
            {"error": "invalid_client", "error_description": "canary-words"}, 401
        )
        finish()
        provider.answer = lambda: json_answer({"canary-words": "canary-words"}, 500)
        finish()
        provider.answer = lambda: (302, {"Location": "/canary-words"}, b"canary-words")
        finish()
        provider.answer = lambda: (200, {"Content-Type": "text/html"}, b"canary-words")
        finish()
    return answers
