"""Fixtures for the official SDKs: the stand-in, or Google itself with `--real-api`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.contract.canary import Canary, canary_of
from tests.support.sample_profiles import sample_profiles
from tests.support.servers import BrokerServer

GOOGLE = "https://generativelanguage.googleapis.com"
AskToken = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Upstream:
    """The settings with which an SDK reaches the Live API. `standin` is None when it is Google."""

    url: str
    api_key: str
    standin: StandIn | None
    tls: ssl.SSLContext | None = None


@pytest.fixture(scope="session")
def upstream(real_api: bool, request: pytest.FixtureRequest) -> Upstream:
    """The Live API over plain http where that is possible."""
    if real_api:
        return Upstream(GOOGLE, os.environ["GEMINI_API_KEY"], None)
    standin: StandIn = request.getfixturevalue("standin")
    return Upstream(standin.url, "contract-test-key", standin)


@pytest.fixture(scope="session")
def tls_upstream(real_api: bool, upstream: Upstream) -> Iterator[Upstream]:
    """The Live API over TLS, which google-genai's live client requires."""
    if real_api:
        yield upstream
        return
    with StandIn(port=0, tls=True) as standin:
        context = ssl.create_default_context(cafile=str(standin.ca_file))
        yield Upstream(standin.url, "contract-test-key", standin, context)


@contextmanager
def _broker(make_broker: MakeBroker, upstream: Upstream) -> Iterator[BrokerServer]:
    """Closes before its upstream, because its open connections would outlive the stand-in."""
    env = {"GEMINI_API_KEY": upstream.api_key}
    if upstream.standin and upstream.standin.ca_file:
        env["SSL_CERT_FILE"] = str(upstream.standin.ca_file)
    server = make_broker(upstream.url, workers=1, env=env)
    server.add_user("alice")
    yield server
    server.close()


@pytest.fixture(scope="session")
def live_broker(upstream: Upstream, make_shared_broker: MakeBroker) -> Iterator[BrokerServer]:
    with _broker(make_shared_broker, upstream) as server:
        yield server


@pytest.fixture(scope="session")
def tls_broker(tls_upstream: Upstream, make_shared_broker: MakeBroker) -> Iterator[BrokerServer]:
    with _broker(make_shared_broker, tls_upstream) as server:
        yield server


@pytest.fixture(scope="session")
def ask_token(tls_broker: BrokerServer) -> AskToken:
    """Sends POST /token as alice to the broker in front of the TLS upstream."""
    bearer = tls_broker.sign_in("alice")

    def ask() -> dict[str, Any]:
        with tls_broker.client() as client:
            answer = client.post("/token", headers={"Authorization": f"Bearer {bearer}"})
        assert answer.status_code == 200, answer.text
        token: dict[str, Any] = answer.json()
        return token

    return ask


@pytest.fixture(scope="session")
def cage(make_shared_broker: MakeBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    with canary_of(make_shared_broker, tmp_path_factory.mktemp("canary"), sample_profiles()) as canary:
        yield canary


@pytest.fixture
def canary(cage: Canary) -> Iterator[Canary]:
    """Counts the attempts of one test. None may get through."""
    cage.attempts, cage.through = 0, []
    yield cage
    print(f"\ncanary: {cage.attempts} attempts, {len(cage.through)} got through")
    assert cage.attempts > 0
    assert cage.through == []
