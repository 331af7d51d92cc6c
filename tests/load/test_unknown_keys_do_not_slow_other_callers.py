"""Many tokens that name unknown keys arrive, and the key server is slow: good callers wait no longer.

In the fast form, no good caller waits as long as one fetch of keys takes. The long form, which runs alone,
compares their p95 with a baseline of the same run: the same callers beside as many tokens that are rejected
without a look at the keys.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx2
import pytest

from broker.errors import Refusal
from broker.identity.bearer import Bearers
from broker.identity.issuers import key_cache
from broker.identity.issuers.external import ExternalIssuer
from broker.identity.issuers.fetch import load
from broker.identity.issuers.key_cache import KeyCache
from broker.settings import IssuerSpec
from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.issuers import KeyServer, claims, entry, signer

ATTACKERS = 8
FEW, MANY = 100, 1000
TOKENS = pytest.mark.parametrize("tokens", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
FETCH_SECONDS = 2.0
KEY = signer("rsa")


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer() as running:
        running.publish("/keys", [KEY])
        yield running


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[18]


def assert_not_slower(disturbed: list[float], usual: list[float], tokens: int, margin_ms: float) -> None:
    if tokens == MANY:
        assert p95(disturbed) < 3 * p95(usual) + margin_ms
    else:
        assert max(disturbed) < FETCH_SECONDS * 1000


def beside(attack: Callable[[str], Any], tokens: list[str], good: Callable[[], Any]) -> list[float]:
    """Returns how long each good call took in ms, while attackers try every token."""
    times: list[float] = []
    with ThreadPoolExecutor(ATTACKERS) as pool:
        running = [pool.submit(attack, token) for token in tokens]
        while not all(future.done() for future in running) or len(times) < 100:
            started = time.perf_counter()
            good()
            times.append((time.perf_counter() - started) * 1000)
        for future in running:
            future.result()
    return times


@TOKENS
def test_good_callers_wait_no_longer(server: KeyServer, tokens: int) -> None:
    """In this process, so that the clock can be moved on and fetches are due again and again."""
    written = {"name": "test", "issuer": server.url, "audience": "voice", "jwks_url": f"{server.url}/keys"}
    spec = IssuerSpec.model_validate(written)
    ticks = [0.0]
    cache = KeyCache("test", partial(load, spec), clock=lambda: ticks[0])
    bearers = Bearers([ExternalIssuer(spec, cache, ["default"])])
    good = KEY.token(claims(server.url))
    bearers.verify(good)
    server.delay_seconds = FETCH_SECONDS

    def refused(token: str) -> str:
        ticks[0] += 60 / tokens  # a minute in all
        with pytest.raises(Refusal) as refusal:
            bearers.verify(token)
        return refusal.value.code

    def serve() -> None:
        bearers.verify(good)

    usual = beside(refused, [KEY.token(claims(server.url), typ="x") for _ in range(tokens)], serve)
    asked = len(server.asked)
    unknown = [KEY.token(claims(server.url), kid=f"unknown-{number}") for number in range(tokens)]
    disturbed = beside(refused, unknown, serve)
    assert 1 <= len(server.asked) - asked <= 60 / key_cache.COOLDOWN_SECONDS + 1
    assert_not_slower(disturbed, usual, tokens, margin_ms=20)


WORKERS = 2


@TOKENS
def test_broker_fetches_keys_a_few_times_only(
    server: KeyServer, standin: StandIn, make_broker: MakeBroker, tokens: int
) -> None:
    issuer = f"{server.url}/realm"
    broker = make_broker(standin.url, toml=entry("test", issuer, f"{server.url}/keys"), workers=WORKERS)
    good = {"Authorization": f"Bearer {KEY.token(claims(issuer))}"}
    with httpx2.Client(base_url=broker.url, trust_env=False, timeout=30) as client:

        def serve() -> None:
            assert client.get("/me", headers=good).status_code == 200

        def refused(token: str) -> None:
            answer = client.post("/token", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code in {401, 503}, answer.text

        serve()
        started = time.monotonic()
        server.delay_seconds = FETCH_SECONDS
        usual = beside(refused, [KEY.token(claims(issuer), typ="x") for _ in range(tokens)], serve)
        unknown = [KEY.token(claims(issuer), kid=f"unknown-{number}") for number in range(tokens)]
        disturbed = beside(refused, unknown, serve)
        assert client.post("/token", headers=good).status_code == 200
    # Each worker fetches at its start, at the first unknown key, and once after each rest.
    rests = (time.monotonic() - started) / key_cache.COOLDOWN_SECONDS
    assert len(server.asked) <= WORKERS * (2 + rests)
    assert_not_slower(disturbed, usual, tokens, margin_ms=50)
