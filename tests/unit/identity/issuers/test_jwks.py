"""A published key set: unusable keys are ignored and do not affect the good ones."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

from broker.identity.issuers.jwks import KeySetRefused, parse
from tests.support.issuers import b64, signer

ED448 = Ed448PrivateKey.generate().public_key()
RSA, EC = signer("rsa"), signer("ec", "ES256")
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


def kids(*members: Any, algorithms: tuple[str, ...] = ALGORITHMS) -> set[str]:
    """The usable kids among `members`, in a set that also has a good key."""
    return set(parse({"keys": [*members, EC.jwk(kid="good")]}, algorithms)) - {"good"}


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"])
def test_each_kind_of_key_is_loaded(algorithm: str) -> None:
    key = parse({"keys": [signer("k", algorithm).jwk()]}, (algorithm, "RS256", "ES256"))["k"]
    assert key.algorithms == {algorithm}


def test_key_without_alg_serves_the_issuers_algorithms_of_its_kind() -> None:
    found = parse({"keys": [RSA.jwk(alg=...), EC.jwk(alg=...)]}, ("RS256", "PS256", "ES256", "ES384"))
    assert {kid: key.algorithms for kid, key in found.items()} == {
        "rsa": {"RS256", "PS256"},
        "ec": {"ES256"},
    }


@pytest.mark.parametrize(
    ("published", "named", "serves"),
    [
        ("EdDSA", "EdDSA", True), ("Ed25519", "EdDSA", True), ("EdDSA", "Ed25519", True),
        ("Ed25519", "Ed25519", True), (..., "Ed25519", True),
        ("EdDSA", "Ed448", False), ("EdDSA", "RS256", False),
        ("Ed25519", "ed25519", False),
    ],
)  # fmt: skip
def test_eddsa_is_known_by_both_of_its_names(published: Any, named: str, serves: bool) -> None:
    """RFC 9864 names the algorithm after the curve."""
    key = parse({"keys": [signer("okp", "EdDSA").jwk(alg=published)]}, ("EdDSA",))["okp"]
    assert key.serves(named) is serves


def test_name_of_another_curve_is_refused() -> None:
    assert kids(signer("okp", "EdDSA").jwk(alg="Ed448")) == set()
    ed448 = {"kty": "OKP", "crv": "Ed448", "kid": "448", "x": b64(ED448.public_bytes_raw())}
    assert kids(ed448, {**ed448, "kid": "2", "alg": "Ed448"}) == {"448", "2"}
    assert kids({**ed448, "alg": "Ed25519"}) == set()


P25519, P448 = 2**255 - 19, 2**448 - 2**224 - 1
ORDER_8 = 0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER = [
    ("Ed25519", (y + sign * 2**255).to_bytes(32, "little"))
    for y in (0, 1, P25519 - 1, P25519, P25519 + 1, ORDER_8, P25519 - ORDER_8)
    for sign in (0, 1)
] + [
    ("Ed448", (y + sign * 2**455).to_bytes(57, "little"))
    for y in (0, 1, P448 - 1, P448, P448 + 1)
    for sign in (0, 1)
]


@pytest.mark.parametrize(("curve", "point"), SMALL_ORDER, ids=lambda value: str(value)[:12])
def test_key_that_anyone_can_sign_for_is_left_out(curve: str, point: bytes) -> None:
    """Points of small order, in each encoding of each of them."""
    member = {"kty": "OKP", "crv": curve, "kid": "weak", "x": b64(point)}
    assert kids(member, {**member, "kid": "named", "alg": "EdDSA"}, signer("okp", "EdDSA").jwk()) == {"okp"}


SECRET = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "alg": "HS256"}
UNUSABLE: dict[str, Any] = {
    "symmetric": SECRET,
    "symmetric without alg": {**SECRET, "alg": ...},
    "symmetric that says RS256": {**SECRET, "alg": "RS256"},
    "private": RSA.jwk(d="AQAB"),
    "private by a prime": RSA.jwk(p="AQAB"),
    "for encryption": RSA.jwk(use="enc"),
    "for encryption by alg": RSA.jwk(alg="RSA-OAEP"),
    "not for verifying": RSA.jwk(key_ops=["encrypt"]),
    "operations of another type": RSA.jwk(key_ops=1),
    "for another algorithm": RSA.jwk(alg="RS512"),
    "for none": RSA.jwk(alg="none"),
    "RSA of 1024 bits": signer("weak", bits=1024).jwk(),
    "RSA of an endless modulus": RSA.jwk(n="A" * 400_000),
    "RSA without a modulus": RSA.jwk(n=...),
    "RSA with a modulus of another type": RSA.jwk(n=5),
    "RSA with exponent 1": RSA.jwk(e="AQ"),
    "RSA that is no base64": RSA.jwk(n="***"),
    "EC on another curve": signer("p384", "ES384").jwk(alg="ES256"),
    "EC on an unknown curve": EC.jwk(crv="P-128"),
    "EC on secp256k1": EC.jwk(crv="secp256k1"),
    "EC with a point off the curve": EC.jwk(x=EC.jwk()["y"]),
    "EC without a point": EC.jwk(x=...),
    "a kind that nobody knows": EC.jwk(kty="PQC"),
    "no kind": EC.jwk(kty=...),
    "no kid": EC.jwk(kid=...),
    "an empty kid": EC.jwk(kid=""),
    "a kid of another type": EC.jwk(kid=1),
    "an endless kid": EC.jwk(kid="k" * 256),
    "no object": "key",
    "nothing": None,
    "a list": [],
}


@pytest.mark.parametrize("member", UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_key_is_left_out_and_the_others_are_kept(member: Any) -> None:
    if isinstance(member, dict):
        member = {name: value for name, value in member.items() if value is not ...}
    assert kids(member) == set()


def test_first_of_two_keys_with_one_kid_is_used() -> None:
    found = parse({"keys": [EC.jwk(kid="k"), RSA.jwk(kid="k")]}, ALGORITHMS)
    assert found["k"].algorithms == {"ES256"}


@pytest.mark.parametrize(
    "document",
    [None, [], "x", {}, {"keys": {}}, {"keys": None}, {"keys": []}, {"keys": [SECRET]},
     {"keys": [EC.jwk(kid=str(number)) for number in range(101)]}],
    ids=["null", "list", "text", "empty", "object", "no list", "no key", "no usable key", "101 keys"],
)  # fmt: skip
def test_set_without_usable_keys_is_refused(document: Any) -> None:
    with pytest.raises(KeySetRefused):
        parse(document, ALGORITHMS)
