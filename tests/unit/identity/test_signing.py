"""The key ring: which keys sign, verify and are published. No key can stand in for another."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from broker.errors import Refusal
from broker.identity.bearer import Bearers
from broker.identity.own_tokens import OwnTokens
from broker.identity.signing import KeyRing, SigningKey, derive, issue_access_token

OLD, NEW = "an-old-one-" + "0123456789abcdef" * 2, "a-new-one-" + "fedcba9876543210" * 2


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def public_pem(key: Any) -> str:
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return str(key.public_key().public_bytes(*form).decode())


ED, EC, OTHER = Ed25519PrivateKey.generate(), generate_ec(SECP256R1()), Ed25519PrivateKey.generate()


def verify(ring: KeyRing, token: str) -> str:
    return Bearers([OwnTokens(ring.honoured)]).verify(token).principal.subject


def refusal(ring: KeyRing, token: str) -> str:
    with pytest.raises(Refusal) as refused:
        verify(ring, token)
    return refused.value.code


def token_of(ring: KeyRing) -> str:
    return issue_access_token(ring.signs, "alice", "1")


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def forged(algorithm: str, key: Any, kid: str) -> str:
    """A token signed with `key` and `algorithm` that names `kid`, even if PyJWT refuses to make it."""
    now = int(time.time())
    claims = {"iss": "live-broker", "aud": "live-broker", "sub": "alice", "iat": now, "exp": now + 600}
    parts = ({"alg": algorithm, "typ": "at+jwt", "kid": kid}, {**claims, "jti": "1", "gen": "1"})
    text = ".".join(b64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{b64(jwt.get_algorithm_by_name(algorithm).sign(text.encode(), key))}"


RINGS = {"HS256": KeyRing.of([NEW]), "EdDSA": KeyRing.of([NEW], pem(ED)), "ES256": KeyRing.of([NEW], pem(EC))}


@pytest.mark.parametrize("algorithm", RINGS)
def test_token_is_signed_with_the_algorithm_of_its_key(algorithm: str) -> None:
    token = token_of(RINGS[algorithm])
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert verify(RINGS[algorithm], token) == "alice"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (KeyRing.of([OLD]), KeyRing.of([NEW, OLD])),
        (KeyRing.of([OLD]), KeyRing.of([OLD], pem(ED))),
        (KeyRing.of([NEW], pem(ED)), KeyRing.of([NEW], pem(EC), pem(ED))),
        (KeyRing.of([NEW], pem(ED)), KeyRing.of([NEW], pem(EC), public_pem(ED))),
        (KeyRing.of([NEW], pem(EC)), KeyRing.of([NEW], None, pem(EC))),
    ],
    ids=["secret", "secret to key", "key", "key, its public half kept", "key to secret"],
)
def test_tokens_stay_valid_after_a_key_rotation(before: KeyRing, after: KeyRing) -> None:
    token = token_of(before)
    assert verify(after, token) == "alice"
    assert token_of(after).split(".")[0] != token.split(".")[0], "but new ones are signed with the new key"


@pytest.mark.parametrize("after", [KeyRing.of([NEW]), KeyRing.of([NEW], pem(OTHER))])
@pytest.mark.parametrize("before", [KeyRing.of([OLD]), KeyRing.of([OLD], pem(ED))])
def test_removed_key_no_longer_verifies(before: KeyRing, after: KeyRing) -> None:
    assert refusal(after, token_of(before)) == "invalid-token"


def test_no_key_can_replace_another() -> None:
    """Tries every kid with every algorithm, above all a public key in place of the shared secret."""
    ring = KeyRing.of([NEW], pem(ED), pem(EC))
    secret_kid = SigningKey.from_secret(NEW).kid
    ed_kid, ec_kid = (SigningKey.from_pem(pem(key)).kid for key in (ED, EC))
    assert verify(ring, forged("EdDSA", ED, ed_kid)) == "alice", "the forging code works"
    assert verify(ring, forged("ES256", EC, ec_kid)) == "alice"
    assert verify(ring, forged("HS256", derive(NEW, "access-token"), secret_kid)) == "alice"
    hmac_keys = [
        public_pem(ED).encode(),
        ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        public_pem(EC).encode(),
        EC.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        json.dumps(ring.published()[0]).encode(),
        derive(NEW, "access-token"),
    ]
    hmac = jwt.get_algorithm_by_name("HS256")
    for kid in (ed_kid, ec_kid, secret_kid):
        for secret in hmac_keys[: None if kid != secret_kid else -1]:
            text = forged("EdDSA", ED, kid).split(".")[1]
            head = b64(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": kid}).encode())
            signature = b64(hmac.sign(f"{head}.{text}".encode(), secret))
            assert refusal(ring, f"{head}.{text}.{signature}") == "invalid-token"
    for algorithm, key, kid in (
        ("EdDSA", ED, secret_kid),
        ("EdDSA", ED, ec_kid),
        ("ES256", EC, ed_kid),
        ("EdDSA", OTHER, ed_kid),
        ("ES256", generate_ec(SECP256R1()), ec_kid),
    ):
        assert refusal(ring, forged(algorithm, key, kid)) == "invalid-token"


@pytest.mark.parametrize("key", [ED, EC], ids=["EdDSA", "ES256"])
def test_published_keys_verify_tokens(key: Any) -> None:
    ring = KeyRing.of([NEW], pem(key), pem(OTHER))
    token = token_of(ring)
    published = jwt.PyJWKSet.from_dict({"keys": ring.published()})
    found = published[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, found, audience="live-broker", issuer="live-broker")["sub"] == "alice"


def test_only_public_keys_are_published() -> None:
    assert KeyRing.of([NEW, OLD]).published() == []
    for jwk in KeyRing.of([NEW], pem(EC), pem(ED)).published():
        assert set(jwk) <= {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert jwk["use"] == "sig"


def test_no_key_is_in_a_repr() -> None:
    ring = KeyRing.of([NEW], pem(ED))
    assert derive(NEW, "access-token").hex() not in repr(ring)
    assert "PRIVATE" not in repr(ring)
    assert repr(derive(NEW, "access-token"))[2:-1] not in repr(ring)
