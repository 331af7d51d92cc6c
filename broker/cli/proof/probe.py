"""One round of probes at a running broker: what must work, and what must be refused, with which code.

A round asks for at most seven tokens, each for 30 seconds, connects with none of them, and ends each session
that it opened. A token that no one connects with costs nothing at Google.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MOST_TOKENS = 5
"""The most that the limit may grant. The request after them must be refused."""
TTL_SECONDS = 30
ANSWER_SECONDS = 15.0
Outcome = Literal["ok", "failed", "untried"]


@dataclass(frozen=True)
class Credentials:
    """Service keys or bearers. A probe whose credential is missing is not tried."""

    good: str | None = None
    limited: str | None = None
    """Of a caller whose plan allows at most `MOST_TOKENS` requests in a row."""
    expired: str | None = None
    wrong_audience: str | None = None


@dataclass(frozen=True)
class Probed:
    probe: str
    outcome: Outcome
    seen: str
    seconds: float


class _Failed(Exception):  # noqa: N818 - an outcome, not a fault
    """The broker answered otherwise than expected."""


class _Untried(Exception):  # noqa: N818 - an outcome, not a fault
    """A credential is missing."""


class Round:
    def __init__(self, http: httpx2.Client, credentials: Credentials) -> None:
        self._http = http
        self._credentials = credentials

    def results(self) -> Iterator[Probed]:
        for name, probe in PROBES.items():
            started, outcome = time.perf_counter(), "failed"
            try:
                seen, outcome = probe(self), "ok"
            except _Untried as missing:
                seen, outcome = str(missing), "untried"
            except _Failed as fault:
                seen = str(fault)
            except httpx2.HTTPError as fault:
                seen = f"no answer ({type(fault).__name__})"
            yield Probed(name, outcome, seen, time.perf_counter() - started)  # type: ignore[arg-type]

    def health(self) -> str:
        return self._expect(self._http.get("/healthz"), 200)

    def readiness(self) -> str:
        return self._expect(self._http.get("/readyz"), 200)

    def token(self) -> str:
        seen = self._expect(self._ask(_needed(self._credentials.good, "PROBE_CREDENTIAL")), 200)
        return f"{seen}, session ended"

    def no_credential(self) -> str:
        return self._expect(self._http.get("/me"), 401, "missing-credentials")

    def foreign_issuer(self) -> str:
        return self._expect(self._ask(foreign_token()), 401, "invalid-token")

    def wrong_audience(self) -> str:
        token = _needed(self._credentials.wrong_audience, "PROBE_WRONG_AUDIENCE_TOKEN")
        return self._expect(self._ask(token), 401, "invalid-token")

    def expired(self) -> str:
        token = _needed(self._credentials.expired, "PROBE_EXPIRED_TOKEN")
        return self._expect(self._ask(token), 401, "token-expired")

    def over_the_limit(self) -> str:
        limited = _needed(self._credentials.limited, "PROBE_LIMITED_CREDENTIAL")
        for asked in range(1, MOST_TOKENS + 2):
            answer = self._ask(limited)
            if answer.status_code != 200:
                return f"{self._expect(answer, 429, 'rate-limited')} at request {asked}"
        raise _Failed(f"no refusal after {asked} requests")

    def _ask(self, credential: str) -> httpx2.Response:
        """Asks for a token, and ends the session at once if there is one."""
        headers = _headers(credential)
        answer = self._http.post("/token", json={"ttl_seconds": TTL_SECONDS}, headers=headers)
        if answer.status_code == 200:
            session = _json(answer).get("session", {}).get("id", "")
            self._expect(self._http.post(f"/sessions/{session}/end", headers=headers), 200)
        return answer

    def _expect(self, answer: httpx2.Response, status: int, code: str = "") -> str:
        found = str(_json(answer).get("code", ""))
        seen = f"{answer.status_code} {found}".strip()
        if answer.status_code != status or (code and found != code):
            raise _Failed(f"{seen}; expected {status} {code}".strip())
        return seen


PROBES: Mapping[str, Callable[[Round], str]] = {
    "health": Round.health,
    "readiness": Round.readiness,
    "token": Round.token,
    "no-credential": Round.no_credential,
    "foreign-issuer": Round.foreign_issuer,
    "wrong-audience": Round.wrong_audience,
    "expired": Round.expired,
    "over-the-limit": Round.over_the_limit,
}


def client(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, trust_env=False, timeout=ANSWER_SECONDS, follow_redirects=False)


def foreign_token() -> str:
    """A correct JWT of an issuer that no broker knows, signed with a key that is used once."""
    now = int(time.time())
    head = {"alg": "EdDSA", "typ": "JWT", "kid": "probe"}
    claims = {"iss": "https://issuer.invalid", "aud": "live-broker", "sub": "probe"}
    parts = [json.dumps(part).encode() for part in (head, {**claims, "iat": now, "exp": now + 60})]
    signing_input = b".".join(map(_base64, parts))
    signature = Ed25519PrivateKey.generate().sign(signing_input)
    return b".".join((signing_input, _base64(signature))).decode()


def _base64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _headers(credential: str) -> dict[str, str]:
    if credential.startswith("lbk_"):
        return {"X-API-Key": credential}
    return {"Authorization": f"Bearer {credential}"}


def _needed(credential: str | None, variable: str) -> str:
    if not credential:
        raise _Untried(f"{variable} is not set")
    return credential


def _json(answer: httpx2.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
