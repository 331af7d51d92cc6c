"""Bearer tokens of external issuers at POST /token: forged ones are refused and leave no trace."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, g
from sqlalchemy import func, select

from broker.app import create_app
from broker.errors import Refusal
from broker.identity import jws
from broker.identity.issuers import fetch
from broker.identity.issuers.external import ExternalIssuer
from broker.identity.issuers.key_cache import KeyCache
from broker.identity.issuers.trial import TrialIssuer
from broker.parts import parts_of
from broker.settings import load
from broker.standin import StandIn
from broker.store.database.tables import audit, principals, rate_windows, sessions, tokens
from tests.support.environment import environment, write_config
from tests.support.issuers import KeyServer, Signer, b64, claims, entry, signer

RSA, EC, OKP = signer("rsa"), signer("ec", "ES256"), signer("okp", "EdDSA")
MALLORY = signer("mallory")
WEAK = signer("weak", bits=1024)
# Settings that these entries have in addition to the common ones.
STRICT = ("leeway_seconds = 0",)
PARTIES = (
    'typ = "at+jwt"',
    'authorized_parties = ["spa", "app"]',
    'required_claims = { token_use = "access", email_verified = true }',
    'subject_claim = "profile.id"',
    "max_age_seconds = 300",
    "max_life_seconds = 600",
    "leeway_seconds = 0",
)


class State:
    """The issuers, and builders of good and bad tokens for each."""

    def __init__(self, server: KeyServer) -> None:
        self.url = server.url
        server.publish("/rsa/keys", [RSA])
        server.answers["/rsa/keys"]["keys"] += [
            WEAK.jwk(),
            signer("enc").jwk(use="enc"),
            signer("rs512", "RS512").jwk(),
            {"kty": "oct", "kid": "secret", "k": b64(b"s" * 32), "alg": "HS256", "use": "sig"},
            EC.jwk(kid="ec-beside-rsa"),
        ]
        server.publish("/ec/keys", [EC, OKP])
        server.publish("/parties/keys", [RSA])
        server.publish("/bare/keys", [RSA])
        server.publish("/trial/keys", [RSA])
        self.toml = (
            entry("rsa", self.issuer("rsa"), f"{self.url}/rsa/keys", *STRICT)
            + entry(
                "ec", self.issuer("ec"), f"{self.url}/ec/keys", 'algorithms = ["ES256", "EdDSA"]', *STRICT
            )
            + entry("parties", self.issuer("parties"), f"{self.url}/parties/keys", *PARTIES)
            + entry(
                "bare", self.issuer("bare"), f"{self.url}/bare/keys", "audience = []",
                'authorized_parties = ["spa"]',
            )
            + entry("trial", self.issuer("trial"), f"{self.url}/trial/keys", 'mode = "audit"')
            + entry("keyless", self.issuer("keyless"), f"{self.url}/keyless/keys")
            + entry("checker", self.issuer("checker"), f"{self.url}/rsa/keys", 'kind = "attestation"')
        )  # fmt: skip

    def issuer(self, name: str) -> str:
        return f"{self.url}/{name}"

    def of(self, name: str, by: Signer = RSA, header: dict[str, Any] | None = None, **changed: Any) -> str:
        return by.token(claims(self.issuer(name), **changed), **(header or {}))

    def rsa(self, **changed: Any) -> str:
        return self.of("rsa", **changed)

    def head(self, **header: Any) -> str:
        """Good claims and RSA's signature, with another header."""
        return self.of("rsa", header=header)

    def parties(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        good: dict[str, Any] = {
            "azp": "spa", "token_use": "access", "email_verified": True, "profile": {"id": "user-1"},
            "sub": ..., **changed,
        }  # fmt: skip
        return self.of("parties", header={"typ": "at+jwt", **(header or {})}, **good)

    def bare(self, **changed: Any) -> str:
        return self.of("bare", **{"aud": ..., "client_id": "spa", **changed})

    def raw(self, old: str, new: str, **changed: Any) -> str:
        """RSA's signature over claims whose JSON text is altered."""
        text = json.dumps(claims(self.issuer("rsa"), **changed))
        assert old in text
        return RSA.token(text.replace(old, new))

    def hmac(self, key: bytes, algorithm: str = "HS256", kid: str = "rsa") -> str:
        head = b64(json.dumps({"alg": algorithm, "typ": "JWT", "kid": kid}).encode())
        signing_input = f"{head}.{b64(json.dumps(claims(self.issuer('rsa'))).encode())}"
        digest = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}[algorithm]
        return f"{signing_input}.{b64(hmac.new(key, signing_input.encode(), digest).digest())}"

    def unsigned(self, **header: Any) -> str:
        return self.head(**header).rsplit(".", 1)[0] + "."

    def signature(self, name: str, by: Signer, signature: bytes) -> str:
        return self.of(name, by=by).rsplit(".", 1)[0] + "." + b64(signature)

    def signature_as_der(self) -> str:
        """A correct signature in DER form. JWS requires the two numbers side by side."""
        signing_input = self.of("ec", by=EC).rsplit(".", 1)[0]
        return f"{signing_input}.{b64(EC.private.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))}"


def public(encoding: Encoding, form: PublicFormat) -> bytes:
    key: bytes = RSA.private.public_key().public_bytes(encoding, form)
    return key


def now(seconds: float = 0) -> int:
    return int(time.time() + seconds)


PEM = public(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
BAD, OLD = "invalid-token", "token-expired"
HOSTILE: dict[str, tuple[Callable[[State], str], str]] = {
    # No signature, or a signature of the wrong kind.
    "alg none": (lambda w: w.unsigned(alg="none"), BAD),
    "alg none with a signature": (lambda w: w.head(alg="none"), BAD),
    "alg None": (lambda w: w.unsigned(alg="None"), BAD),
    "alg empty": (lambda w: w.unsigned(alg=""), BAD),
    "alg absent": (lambda w: w.head(alg=...), BAD),
    "alg of another type": (lambda w: w.head(alg=["RS256"]), BAD),
    "alg in another case": (lambda w: w.head(alg="rs256"), BAD),
    "signature stripped": (lambda w: w.unsigned(), BAD),
    "signature of another token": (
        lambda w: w.rsa(sub="bob").rsplit(".", 1)[0] + "." + w.rsa().rsplit(".", 1)[1], BAD,
    ),
    "signature with one bit turned": (
        lambda w: w.signature("rsa", RSA, bytes([1]) + b"\0" * 255), BAD,
    ),
    "public key as HMAC, PEM": (lambda w: w.hmac(PEM), BAD),
    "public key as HMAC, PEM without its last line end": (lambda w: w.hmac(PEM.strip()), BAD),
    "public key as HMAC, PKCS1": (lambda w: w.hmac(public(Encoding.PEM, PublicFormat.PKCS1)), BAD),
    "public key as HMAC, DER": (
        lambda w: w.hmac(public(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)), BAD,
    ),
    "public key as HMAC, JWK": (lambda w: w.hmac(json.dumps(RSA.jwk()).encode()), BAD),
    "public key as HMAC, HS512": (lambda w: w.hmac(PEM, "HS512"), BAD),
    "empty HMAC": (lambda w: w.hmac(b""), BAD),
    "symmetric key that the issuer published": (lambda w: w.hmac(b"s" * 32, kid="secret"), BAD),
    "another algorithm of the same key": (lambda w: signer("rsa").over(
        '{"alg":"RS512","kid":"rsa"}', claims(w.issuer("rsa"))), BAD),
    "PSS with the RSA key": (
        lambda w: Signer("rsa", "PS256", RSA.private).token(claims(w.issuer("rsa"))), BAD,
    ),
    "EC at an RSA issuer": (lambda w: w.of("rsa", by=EC), BAD),
    "EC key that an RSA issuer publishes too": (
        lambda w: Signer("ec-beside-rsa", "ES256", EC.private).token(claims(w.issuer("rsa"))), BAD,
    ),
    "RSA at an EC issuer": (lambda w: w.of("ec", by=RSA), BAD),
    "RS256 with the EC key's name": (lambda w: w.of("ec", by=RSA, header={"kid": "ec"}), BAD),
    "ES256 with the EdDSA key's name": (lambda w: w.of("ec", by=EC, header={"kid": "okp"}), BAD),
    "EdDSA with the EC key's name": (lambda w: w.of("ec", by=OKP, header={"kid": "ec"}), BAD),
    "EC signature of zeros": (lambda w: w.signature("ec", EC, b"\0" * 64), BAD),
    "EC signature of the group's order": (lambda w: w.signature("ec", EC, bytes.fromhex(
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") * 2), BAD),
    "EC signature as DER": (lambda w: w.signature_as_der(), BAD),
    "weak RSA key that the issuer published": (lambda w: w.of("rsa", by=WEAK), BAD),
    "key for encryption": (lambda w: w.of("rsa", by=signer("enc")), BAD),
    "key for RS512": (
        lambda w: Signer("rs512", "RS256", signer("rs512", "RS512").private).token(claims(w.issuer("rsa"))),
        BAD,
    ),
    # A header that chooses the key.
    "another's key under our kid": (lambda w: w.of("rsa", by=MALLORY, header={"kid": "rsa"}), BAD),
    "embedded key": (lambda w: w.of("rsa", by=MALLORY, header={"jwk": MALLORY.jwk()}), BAD),
    "embedded key beside a good signature": (lambda w: w.head(jwk=RSA.jwk()), BAD),
    "key by address": (lambda w: w.head(jku=f"{w.url}/rsa/keys"), BAD),
    "key by certificate address": (lambda w: w.head(x5u=f"{w.url}/certificate"), BAD),
    "key by certificate": (lambda w: w.head(x5c=["AAAA"]), BAD),
    "kid unknown": (lambda w: w.head(kid="unknown"), BAD),
    "kid absent": (lambda w: w.head(kid=...), BAD),
    "kid null": (lambda w: w.head(kid=None), BAD),
    "kid empty": (lambda w: w.head(kid=""), BAD),
    "kid as a list": (lambda w: w.head(kid=["rsa"]), BAD),
    "kid as a path": (lambda w: w.head(kid="../../../../dev/null"), BAD),
    "kid as SQL": (lambda w: w.head(kid="' UNION SELECT 'x"), BAD),
    "kid as an address": (lambda w: w.head(kid=f"{w.url}/rsa/keys"), BAD),
    "kid in another case": (lambda w: w.head(kid="RSA"), BAD),
    "kid with NUL": (lambda w: w.head(kid="rsa\0"), BAD),
    "kid with a lone surrogate": (lambda w: w.head(kid="rsa\ud800"), BAD),
    "kid without end": (lambda w: w.head(kid="k" * 4000), BAD),
    "critical extension": (lambda w: w.head(crit=["exp"]), BAD),
    "critical extension, none": (lambda w: w.head(crit=[]), BAD),
    "unencoded payload": (lambda w: w.head(b64=False, crit=["b64"]), BAD),
    "packed": (lambda w: w.head(zip="DEF"), BAD),
    "nested": (lambda w: w.head(cty="JWT"), BAD),
    "typ of an access token": (lambda w: w.head(typ="at+jwt"), BAD),
    "typ of a logout token": (lambda w: w.head(typ="logout+jwt"), BAD),
    "typ of another type": (lambda w: w.head(typ=1), BAD),
    "typ absent where one is asked for": (lambda w: w.parties({"typ": ...}), BAD),
    "typ JWT where another is asked for": (lambda w: w.parties({"typ": "JWT"}), BAD),
    "alg twice": (lambda w: RSA.over(
        '{"alg":"none","kid":"rsa","alg":"RS256"}', claims(w.issuer("rsa"))), BAD),
    # Wrong issuer, audience or party.
    "issuer absent": (lambda w: w.rsa(iss=...), BAD),
    "issuer empty": (lambda w: w.rsa(iss=""), BAD),
    "issuer as a list": (lambda w: w.rsa(iss=[w.issuer("rsa")]), BAD),
    "issuer with a slash more": (lambda w: w.rsa(iss=w.issuer("rsa") + "/"), BAD),
    "issuer in another case": (lambda w: w.rsa(iss=w.issuer("RSA")), BAD),
    "issuer nobody knows": (lambda w: w.rsa(iss="https://evil.example"), BAD),
    "our own issuer": (lambda w: w.rsa(iss="live-broker", sub="alice"), BAD),
    "the issuer of service keys": (lambda w: w.rsa(iss="live-broker:key"), BAD),
    "the issuer of guests": (lambda w: w.rsa(iss="live-broker:guest"), BAD),
    "another issuer's subject": (lambda w: w.of("ec", by=RSA, sub="user-1"), BAD),
    "another issuer's key under its own name": (lambda w: w.of("rsa", by=EC, header={"kid": "ec"}), BAD),
    "an attestation as a bearer": (lambda w: w.of("checker"), BAD),
    "an issuer on trial": (lambda w: w.of("trial"), BAD),
    "audience absent": (lambda w: w.rsa(aud=...), BAD),
    "audience empty": (lambda w: w.rsa(aud=""), BAD),
    "audience of another": (lambda w: w.rsa(aud="other"), BAD),
    "audiences without ours": (lambda w: w.rsa(aud=["a", "b"]), BAD),
    "audience within a text": (lambda w: w.rsa(aud="voice other"), BAD),
    "audience as an object": (lambda w: w.rsa(aud={"voice": True}), BAD),
    "audiences of other types": (lambda w: w.rsa(aud=["voice", 1]), BAD),
    "audience where none is agreed": (lambda w: w.bare(aud="voice"), BAD),
    "party absent": (lambda w: w.parties(azp=...), BAD),
    "party of another": (lambda w: w.parties(azp="evil"), BAD),
    "party as a list": (lambda w: w.parties(azp=["spa"]), BAD),
    "client of another beside a good party": (lambda w: w.parties(client_id="evil"), BAD),
    "client absent": (lambda w: w.bare(client_id=...), BAD),
    "required claim absent": (lambda w: w.parties(token_use=...), BAD),
    "required claim of another value": (lambda w: w.parties(token_use="id"), BAD),
    "required truth as a number": (lambda w: w.parties(email_verified=1), BAD),
    "required truth as a text": (lambda w: w.parties(email_verified="true"), BAD),
    # Wrong subject or id.
    "subject absent": (lambda w: w.rsa(sub=...), BAD),
    "subject null": (lambda w: w.rsa(sub=None), BAD),
    "subject empty": (lambda w: w.rsa(sub=""), BAD),
    "subject as a number": (lambda w: w.rsa(sub=1), BAD),
    "subject as a list": (lambda w: w.rsa(sub=["user-1"]), BAD),
    "subject with NUL": (lambda w: w.rsa(sub="user\0"), BAD),
    "subject with a lone surrogate": (lambda w: w.rsa(sub="user\ud800"), BAD),
    "subject with a line end": (lambda w: w.rsa(sub="user\n1"), BAD),
    "subject that turns the text around": (lambda w: w.rsa(sub="user\u202e1"), BAD),
    "subject without end": (lambda w: w.rsa(sub="u" * 256), BAD),
    "subject twice": (lambda w: w.raw('"sub": "user-1"', '"sub": "user-1", "sub": "user-2"'), BAD),
    "subject elsewhere absent": (lambda w: w.parties(profile={}, sub="user-1"), BAD),
    "subject elsewhere in no object": (lambda w: w.parties(profile="user-1"), BAD),
    "id as a number": (lambda w: w.rsa(jti=1), BAD),
    "id empty": (lambda w: w.rsa(jti=""), BAD),
    "id with NUL": (lambda w: w.rsa(jti="a\0"), BAD),
    "id with a lone surrogate": (lambda w: w.rsa(jti="a\ud800"), BAD),
    # Wrong times.
    "expired by one second": (lambda w: w.rsa(iat=now(-601), exp=now(-1)), OLD),
    "expired long ago": (lambda w: w.rsa(iat=now(-90000), exp=now(-80000)), OLD),
    "too old to be accepted": (lambda w: w.parties(iat=now(-302), exp=now(290)), OLD),
    "expired and of another audience": (lambda w: w.rsa(iat=now(-601), exp=now(-1), aud="other"), BAD),
    "expired and of another key": (
        lambda w: w.of("rsa", by=MALLORY, header={"kid": "rsa"}, iat=now(-601), exp=now(-1)), BAD,
    ),
    "expiry absent": (lambda w: w.rsa(exp=...), BAD),
    "expiry null": (lambda w: w.rsa(exp=None), BAD),
    "expiry as a text": (lambda w: w.rsa(exp=str(now(600))), BAD),
    "expiry as a float": (lambda w: w.rsa(exp=now(600) + 0.5), BAD),
    "expiry as a whole float": (lambda w: w.rsa(exp=float(now(600))), BAD),
    "expiry as a boolean": (lambda w: w.rsa(exp=True), BAD),
    "expiry beyond numbers": (lambda w: w.raw('"exp": 1', '"exp": 1e300', exp=1), BAD),
    "expiry infinite": (lambda w: w.raw('"exp": 1', '"exp": Infinity', exp=1), BAD),
    "expiry not a number": (lambda w: w.raw('"exp": 1', '"exp": NaN', exp=1), BAD),
    "expiry of a thousand digits": (lambda w: w.raw('"exp": 1', '"exp": ' + "9" * 1000, exp=1), BAD),
    "expiry of five thousand digits": (lambda w: w.raw('"exp": 1', '"exp": ' + "9" * 5000, exp=1), BAD),
    "expiry twice": (lambda w: w.raw('"exp": 1', f'"exp": 1, "exp": {now(600)}', exp=1), BAD),
    "life longer than a day": (lambda w: w.rsa(exp=now(24 * 3600 + 60)), BAD),
    "life longer than agreed": (lambda w: w.parties(exp=now(660)), BAD),
    "life of nothing": (lambda w: w.rsa(iat=now(10), exp=now(10)), BAD),
    "expiry before issue": (lambda w: w.rsa(iat=now(100), exp=now(50)), BAD),
    "issue absent": (lambda w: w.rsa(iat=...), BAD),
    "issue as a text": (lambda w: w.rsa(iat=str(now())), BAD),
    "issue as a float": (lambda w: w.rsa(iat=now() + 0.5), BAD),
    "issue as a boolean": (lambda w: w.rsa(iat=False), BAD),
    "issue before time": (lambda w: w.rsa(iat=-(10**15)), BAD),
    "issue in the future": (lambda w: w.rsa(iat=now(60)), BAD),
    "not valid yet": (lambda w: w.rsa(nbf=now(60)), BAD),
    "validity as a text": (lambda w: w.rsa(nbf="0"), BAD),
    "validity as a float": (lambda w: w.rsa(nbf=0.5), BAD),
    # Malformed tokens.
    "payload as a list": (lambda w: RSA.token("[]"), BAD),
    "payload as a text": (lambda w: RSA.token('"x"'), BAD),
    "payload not JSON": (lambda w: RSA.token("{"), BAD),
    "payload not UTF-8": (lambda w: RSA.token(b'{"iss": "\xff"}'), BAD),
    "payload deep": (lambda w: RSA.token("[" * 5000), BAD),
    "payload empty": (lambda w: RSA.token(""), BAD),
    "header not JSON": (lambda w: RSA.over("{", claims(w.issuer("rsa"))), BAD),
    "header as a list": (lambda w: RSA.over("[]", claims(w.issuer("rsa"))), BAD),
    "too long": (lambda w: w.rsa(padding="x" * 9000), BAD),
    "five parts": (lambda w: w.rsa() + ".x.y", BAD),
    "two parts": (lambda w: w.rsa().rsplit(".", 1)[0], BAD),
    "padded": (lambda w: w.rsa() + "==", BAD),
    "keys that cannot be had": (lambda w: w.of("keyless"), "keys-unavailable"),
}  # fmt: skip


STRANGERS = {
    *(name for name in HOSTILE if name.startswith("issuer ")),
    "the issuer of service keys",
    "the issuer of guests",
    "an attestation as a bearer",
}


@pytest.fixture(scope="module")
def state() -> Iterator[State]:
    with KeyServer() as server:
        yield State(server)


@pytest.fixture(scope="module")
def app(
    state: State, standin: StandIn, database_with_users: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """One app for the whole table. A trace that one token leaves shows at each later one."""
    folder = tmp_path_factory.mktemp("external")
    config = write_config(folder, rate="500/minute", more=state.toml)
    environ = environment(folder, standin.url, config=config)
    shutil.copy(database_with_users, environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///"))
    app = create_app(load(environ))
    yield app
    parts_of(app).database.dispose()


def traces(app: Flask, standin: StandIn) -> dict[str, int]:
    with parts_of(app).database.read() as connection:
        counts = {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (sessions, tokens, principals, rate_windows)
        }
    return {**counts, "mints": len(standin.control.received()["mints"])}


def ask(app: Flask, token: str) -> Any:
    client = app.test_client(use_cookies=False)
    return client.post("/token", headers={"Authorization": f"Bearer {token}"})


def test_table_has_at_least_sixty_hostile_tokens() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_token_is_refused_and_leaves_no_trace(
    app: Flask, state: State, standin: StandIn, name: str
) -> None:
    make, code = HOSTILE[name]
    before = traces(app, standin)
    with app.test_client(use_cookies=False) as client:
        answer = client.post("/token", headers={"Authorization": f"Bearer {make(state)}"})
        reason = g.refusal.reason
    # If the issuer is configured, its own rules must be what refused the token.
    assert (reason == "unknown issuer") == (name in STRANGERS)
    assert answer.get_json()["code"] == code
    assert answer.status_code == (503 if code == "keys-unavailable" else 401)
    assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)
    assert traces(app, standin) == before


GOOD: dict[str, Callable[[State], str]] = {
    "rsa": lambda w: w.rsa(),
    "ec": lambda w: w.of("ec", by=EC),
    "okp": lambda w: w.of("ec", by=OKP),
    "parties": lambda w: w.parties(),
    "parties by client": lambda w: w.parties(azp=..., client_id="app"),
    "parties by media type": lambda w: w.parties({"typ": "application/at+JWT"}),
    "bare": lambda w: w.bare(),
    "no typ": lambda w: w.head(typ=...),
    "one of several audiences": lambda w: w.rsa(aud=["other", "voice"]),
    "header members that pick nothing": lambda w: w.head(x5t="AAAA", cat="cl_1"),
    "already valid": lambda w: w.rsa(nbf=now(-10)),
    "just issued, almost over": lambda w: w.rsa(iat=now(-590), exp=now(30)),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_tokens_from_the_same_builders_are_accepted(
    app: Flask, state: State, standin: StandIn, name: str
) -> None:
    """Without this, every refusal above could have an unintended reason."""
    before = traces(app, standin)
    answer = ask(app, GOOD[name](state))
    assert answer.status_code == 200, answer.get_json()
    after = traces(app, standin)
    assert (after["sessions"], after["mints"]) == (before["sessions"] + 1, before["mints"] + 1)


def test_hostile_tokens_use_up_no_rate(app: Flask, state: State) -> None:
    first = ask(app, state.rsa(sub="fresh")).get_json()
    for name in list(HOSTILE)[:20]:
        ask(app, HOSTILE[name][0](state))
    second = ask(app, state.rsa(sub="fresh")).get_json()
    left = [answer["limits"]["rate"][0]["remaining"] for answer in (first, second)]
    assert left == [499, 498]


def me(app: Flask, token: str) -> Any:
    client = app.test_client(use_cookies=False)
    return client.get("/me", headers={"Authorization": f"Bearer {token}"}).get_json()


def test_each_issuer_and_spelling_is_a_separate_principal(app: Flask, state: State) -> None:
    """Neither case nor Unicode form is normalized, and no two issuers share a principal."""
    subjects = ["alice", "Alice", "Jos\u00e9", "Jose\u0301"]
    seen = {
        (who["principal"]["issuer"], who["principal"]["subject"])
        for subject in subjects
        for who in (me(app, state.rsa(sub=subject)), me(app, state.of("ec", by=EC, sub=subject)))
    }
    assert len(seen) == 2 * len(subjects)
    # The broker's own user alice is yet another principal.
    assert ("live-broker", "alice") not in seen


def test_issuer_on_trial_admits_no_one_and_audits_the_result(app: Flask, state: State) -> None:
    def rows() -> list[tuple[str, Any]]:
        with parts_of(app).database.read() as connection:
            query = select(audit.c.outcome, audit.c.actor).where(audit.c.action == "issuer-audit")
            return [(row.outcome, row.actor) for row in connection.execute(query)]

    before = len(rows())
    answer = ask(app, state.of("trial", sub="tried"))
    stranger = ask(app, state.rsa(iss="https://stranger.example"))
    assert {**answer.get_json(), "request_id": ""} == {**stranger.get_json(), "request_id": ""}
    ask(app, state.of("trial", sub="tried"))  # within the minute: audited once
    ask(app, state.of("trial", sub="tried", iat=now(-900), exp=now(-300)))
    ask(app, state.of("trial", sub="tried", aud="other"))
    # Anyone can forge this token, so it is only logged.
    ask(app, state.of("trial", by=MALLORY, header={"kid": "rsa"}, sub="tried"))
    actor = f"{state.issuer('trial')} tried"
    assert rows()[before:] == [("would-admit", actor), ("token-expired", actor), ("invalid-token", actor)]


def test_failing_store_does_not_reveal_a_trial(app: Flask, state: State) -> None:
    class Broken:
        def record(self, **_: Any) -> None:
            raise Refusal("store-unavailable")

    spec = next(s for s in parts_of(app).settings.config.issuers if s.name == "trial")
    cache = KeyCache("trial", partial(fetch.load, spec), spawn=lambda work: work())
    trial = TrialIssuer(ExternalIssuer(spec, cache, ["default"]), Broken())
    with pytest.raises(Refusal) as refused:
        trial.verify(jws.read(state.of("trial")))
    assert refused.value.code == "invalid-token"


def test_hostile_tokens_contain_what_their_names_say(state: State) -> None:
    """A token that does not contain what its name says would be refused for another reason."""
    token = state.rsa(sub="user\ud800")
    payload = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    assert json.loads(payload)["sub"] == "user\ud800"
