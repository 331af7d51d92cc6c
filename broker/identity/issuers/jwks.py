"""A published key set -> the keys that may verify a token, each with the algorithms that it may be used with.

Members are loaded one by one: one that is broken, or not for us, must not take the good ones down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MAX_KEYS = 100
MAX_KID_LENGTH = 255
RSA_BITS = range(2048, 8192 + 1)
# Longer base64 than 8192 bits need: not worth a look.
_MAX_MODULUS_LENGTH = 1400
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
# algorithm -> key type and curves. A key of one kind never serves an algorithm of another.
_KINDS: Mapping[str, tuple[str, tuple[str | None, ...]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", (None,))),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}


class KeySetRefused(Exception):  # noqa: N818 - named for what happened to it
    """What the issuer published cannot be used; the message is for the log."""


@dataclass(frozen=True)
class IssuerKey:
    kid: str
    key: Any
    algorithms: frozenset[str]


def parse(document: object, algorithms: Collection[str]) -> dict[str, IssuerKey]:
    """The usable keys by kid. `algorithms` are the issuer's, from the settings. Raises KeySetRefused."""
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
    except Exception:  # noqa: BLE001 - a broken member raises nearly anything, and all of it means: not this one
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
    return IssuerKey(kid, key, fitting)


def _fits(member: dict[str, Any], algorithm: str) -> bool:
    kty, curves = _KINDS[algorithm]
    return (
        member.get("kty") == kty and member.get("crv") in curves and member.get("alg", algorithm) == algorithm
    )
