"""Measures how long we verify the token of an external issuer: `python -m tests.load.bench_issuers`.

It uses one process, one thread and cached keys. The baseline is our own HS256 token in the same run.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from broker.identity.bearer import Bearers
from broker.identity.issuers.external import ExternalIssuer
from broker.identity.issuers.jwks import parse
from broker.identity.issuers.key_cache import KeyCache
from broker.identity.own_tokens import OwnTokens
from broker.identity.signing import KeyRing, issue_access_token
from broker.settings import IssuerSpec
from broker.telemetry import log
from tests.support.issuers import claims, signer

ROUNDS, CALLS = 7, 1000
SECRET = "a-secret-of-the-benchmark-0123456789abcdef"
ISSUER = "https://id.example"


def external(algorithm: str) -> Callable[[], object]:
    key = signer(algorithm, algorithm)
    spec = IssuerSpec.model_validate(
        {
            "name": "bench",
            "issuer": ISSUER,
            "audience": "voice",
            "jwks_url": f"{ISSUER}/keys",
            "algorithms": [algorithm],
        }
    )
    document = {"keys": [key.jwk()]}
    cache = KeyCache("bench", lambda: parse(document, spec.algorithms), spawn=lambda work: work())
    bearers = Bearers([ExternalIssuer(spec, cache, ["default"])])
    token = key.token(claims(ISSUER))
    return lambda: bearers.verify(token)


def own() -> Callable[[], object]:
    ring = KeyRing.of([SECRET])
    bearers = Bearers([OwnTokens(ring.honoured)])
    token = issue_access_token(ring.signs, "alice", "1")
    return lambda: bearers.verify(token)


def microseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS * 1e6


def main() -> None:
    log.configure("WARNING")
    rows = {"own HS256": own()} | {name: external(name) for name in ("RS256", "PS256", "ES256", "EdDSA")}
    print(f"{'':12}{'µs each':>9}{'spread':>16}   medians of {ROUNDS}", file=sys.stdout)
    for name, call in rows.items():
        call()
        taken = [microseconds(call) for _ in range(ROUNDS)]
        print(f"{name:12}{statistics.median(taken):9.0f}{min(taken):9.0f} - {max(taken):.0f}")


if __name__ == "__main__":
    main()
