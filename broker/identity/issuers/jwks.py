"""Parses a published key set (JWKS). Returns the usable keys, each with its permitted algorithms.

Members are loaded one by one, so an invalid or unsuitable member does not affect the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from broker.identity.issuers.edwards import EdwardsKey, has_small_order, is_on_curve
from broker.settings.issuers import general_name

MAX_KEYS = 100
MAX_KID_LENGTH = 255
RSA_BITS = range(2048, 8192 + 1)
# The base64 of 8192 bits is shorter than this.
_MAX_MODULUS_LENGTH = 1400
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
# Algorithm -> key type and curves.
_KINDS: Mapping[str, tuple[str, tuple[str | None, ...]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", (None,))),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}


class KeySetRefused(Exception):  # noqa: N818 - an outcome, not a programming error
    """The published key set cannot be used. The message is for the log."""


@dataclass(frozen=True)
class IssuerKey:
    kid: str
    key: Any
    algorithms: frozenset[str]

    def serves(self, algorithm: str) -> bool:
        """Whether a token may name this algorithm with this key."""
        return general_name(algorithm) in self.algorithms and is_on_curve(self.key, algorithm)


def parse(document: object, algorithms: Collection[str]) -> dict[str, IssuerKey]:
    """The usable keys by kid. `algorithms` come from the settings of the issuer. Raises KeySetRefused."""
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise KeySetRefused("not a key set")
    if len(members) > MAX_KEYS:
        raise KeySetRefused(f"more than {MAX_KEYS} keys")
    usable: dict[str, IssuerKey] = {}
    for member in members:
        key = _key(member, algorithms) if isinstance(member, dict) else None
        if key is not None:
            usable.setdefault(key.kid, key)
    if not usable:
        raise KeySetRefused(f"none of {len(members)} keys can be used")
    return usable


def _key(member: dict[str, Any], algorithms: Collection[str]) -> IssuerKey | None:
    try:
        return _usable(member, algorithms)
    except Exception:  # noqa: BLE001 - an invalid member can raise almost any error; it is skipped
        return None


def _usable(member: dict[str, Any], algorithms: Collection[str]) -> IssuerKey | None:
    kid = member.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_LENGTH or _PRIVATE & member.keys():
        return None
    if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ["verify"]):
        return None
    fitting = frozenset(name for name in algorithms if _fits(member, name))
    if not fitting or len(member.get("n", "")) > _MAX_MODULUS_LENGTH:
        return None
    key = jwt.PyJWK(member, algorithm=min(fitting)).key
    if isinstance(key, RSAPublicKey) and key.key_size not in RSA_BITS:
        return None
    if isinstance(key, EdwardsKey) and has_small_order(key):
        return None
    return IssuerKey(kid, key, fitting)


def _fits(member: dict[str, Any], algorithm: str) -> bool:
    kty, curves = _KINDS[algorithm]
    # RFC 9864 names EdDSA after the curve, too.
    names = {algorithm, member.get("crv")} if algorithm == "EdDSA" else {algorithm}
    return member.get("kty") == kty and member.get("crv") in curves and member.get("alg", algorithm) in names
