"""With `gunicorn --preload`, nothing that began before the fork is waited for after it."""

from __future__ import annotations

import time

import httpx2

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.http_server import Answer, Request
from tests.support.issuers import KeyServer, claims, entry, signer


class SlowKeyServer(KeyServer):
    def answer_to(self, request: Request) -> Answer:
        time.sleep(1)
        return super().answer_to(request)


def test_bearers_of_an_issuer_with_a_slow_key_server_work(standin: StandIn, make_broker: MakeBroker) -> None:
    with SlowKeyServer() as keys:
        issuer = f"{keys.url}/issuer"
        toml = entry("slow", issuer, keys.publish("/keys", [signer("rsa")]))
        server = make_broker(standin.url, toml=toml, workers=2, env={"GUNICORN_CMD_ARGS": "--preload"})
        headers = {"Authorization": f"Bearer {signer('rsa').token(claims(issuer))}"}
        deadline = time.monotonic() + 30
        statuses: list[int] = []
        # On new connections, so that both workers answer.
        while statuses[-6:] != [200] * 6 and time.monotonic() < deadline:
            answer = httpx2.get(f"{server.url}/me", headers=headers, trust_env=False, timeout=20)
            statuses.append(answer.status_code)
        assert statuses[-6:] == [200] * 6
