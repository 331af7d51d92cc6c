"""The broker's own bearer tokens: each kind of forged token is refused with its code."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from broker.errors import Refusal
from broker.identity.bearer import Bearers
from broker.identity.own_tokens import OwnTokens
from broker.identity.signing import SigningKey, derive, issue_access_token

SECRET = "a-secret-of-the-tests-" + "0123456789abcdef" * 2
KEY = SigningKey.from_secret(SECRET)
BEARERS = Bearers([OwnTokens({KEY.kid: KEY})])


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    every = {
        "iss": "live-broker",
        "aud": "live-broker",
        "sub": "alice",
        "iat": now,
        "exp": now + 3000,
        "jti": "1",
        "gen": "1",
        **changed,
    }
    return {name: value for name, value in every.items() if value is not ...}


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def signed(payload: dict[str, Any] | str, key: Any = KEY.key, **header: Any) -> str:
    """A JWS over exactly this payload and header, even if PyJWT refuses to make it."""
    members = {"alg": "HS256", "typ": "at+jwt", "kid": KEY.kid, **header}
    text = payload if isinstance(payload, str) else json.dumps(payload)
    head = b64(json.dumps({k: v for k, v in members.items() if v is not ...}).encode())
    signing_input = f"{head}.{b64(text.encode())}"
    algorithm = jwt.get_algorithm_by_name("HS256")
    return f"{signing_input}.{b64(algorithm.sign(signing_input.encode(), key))}"


def test_forging_tools_can_make_a_valid_token() -> None:
    """Without this, every refusal below could have an unintended reason."""
    assert BEARERS.verify(signed(claims())).principal.subject == "alice"
    assert BEARERS.verify(issue_access_token(KEY, "alice", "1")).principal.subject == "alice"


NOW = int(time.time())
FORGED: dict[str, str] = {
    "empty": "",
    "not a JWS": "abc",
    "two parts": "a.b",
    "four parts": signed(claims()) + ".x",
    "unsigned": signed(claims()).rsplit(".", 1)[0] + ".",
    "alg none": signed(claims(), alg="none").rsplit(".", 1)[0] + ".",
    "alg none with our signature": signed(claims(), alg="none"),
    "alg in another case": signed(claims(), alg="hs256"),
    "another HMAC": signed(claims(), alg="HS512"),
    "an asymmetric alg": signed(claims(), alg="RS256"),
    "another key": signed(claims(), b"0" * 32),
    "the CSRF key of the same secret": signed(claims(), derive(SECRET, "csrf")),
    "the secret itself": signed(claims(), SECRET.encode()),
    "unknown kid": signed(claims(), kid="other"),
    "no kid": signed(claims(), kid=...),
    "kid of another type": signed(claims(), kid=["x"]),
    "kid as a path": signed(claims(), kid="../../dev/null"),
    "embedded key": signed(claims(), jwk={"kty": "oct", "k": "AAAA"}),
    "key by URL": signed(claims(), jku="http://127.0.0.1/keys"),
    "critical extension": signed(claims(), crit=["exp"]),
    "typ JWT": signed(claims(), typ="JWT"),
    "no typ": signed(claims(), typ=...),
    "another issuer": signed(claims(iss="google")),
    "empty issuer": signed(claims(iss="")),
    "no issuer": signed(claims(iss=...)),
    "another audience": signed(claims(aud="other")),
    "our audience in a list": signed(claims(aud=["live-broker", "other"])),
    "no audience": signed(claims(aud=...)),
    "no subject": signed(claims(sub=...)),
    "empty subject": signed(claims(sub="")),
    "subject with NUL": signed(claims(sub="alice\0")),
    "subject with a lone surrogate": signed(json.dumps(claims(sub="x")).replace('"x"', '"\\ud800"')),
    "subject as a number": signed(claims(sub=1)),
    "long subject": signed(claims(sub="a" * 256)),
    "no expiry": signed(claims(exp=...)),
    "expiry as a string": signed(claims(exp=str(NOW + 3000))),
    "expiry as a float": signed(claims(exp=NOW + 3000.5)),
    "expiry beyond numbers": signed(json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": 1e300')),
    "expiry as infinity": signed(json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": Infinity')),
    "issue time as a boolean": signed(claims(iat=True)),
    "life too long": signed(claims(exp=NOW + 90000)),
    "no issue time": signed(claims(iat=...)),
    "issued in the future": signed(claims(iat=NOW + 3600, exp=NOW + 3700)),
    "not valid yet": signed(claims(nbf=NOW + 3600)),
    "no id": signed(claims(jti=...)),
    "empty id": signed(claims(jti="")),
    "no generation": signed(claims(gen=...)),
    "generation as a number": signed(claims(gen=1)),
    "subject twice": signed(json.dumps(claims())[:-1] + ', "sub": "bob"}'),
    "payload as a list": signed("[]"),
    "payload not JSON": signed("{"),
    "payload deep": signed("[" * 5000),
    "too long": signed(claims(padding="x" * 9000)),
    "letters beyond ASCII": signed(claims()) + "é",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_forged_token_is_refused(token: str) -> None:
    with pytest.raises(Refusal) as refused:
        BEARERS.verify(token)
    assert refused.value.code == "invalid-token"


def test_token_that_was_issued_after_it_expires_is_refused() -> None:
    now = int(time.time())
    with pytest.raises(Refusal) as refused:
        BEARERS.verify(signed(claims(iat=now + 20, exp=now + 10)))
    assert refused.value.code == "invalid-token"


def test_only_valid_tokens_are_reported_as_expired() -> None:
    old = claims(iat=NOW - 700, exp=NOW - 61)
    with pytest.raises(Refusal) as ours:
        BEARERS.verify(signed(old))
    assert ours.value.code == "token-expired"
    with pytest.raises(Refusal) as forged:
        BEARERS.verify(signed(old, b"0" * 32))
    assert forged.value.code == "invalid-token"
