"""Ed25519 and Ed448 keys: their two names in JOSE, and the keys that anyone can sign for."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

EdwardsKey = Ed25519PublicKey | Ed448PublicKey
# The y of every point of small order. With such a point as the key, a signature can be valid for every text.
_P25519 = 2**255 - 19
_Y25519 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_25519 = {0, 1, _P25519 - 1, _Y25519, _P25519 - _Y25519}
_P448 = 2**448 - 2**224 - 1
_SMALL_448 = {0, 1, _P448 - 1}


def has_small_order(key: EdwardsKey) -> bool:
    """Compares y modulo the prime: some points have a second encoding, and the top bit is the sign of x."""
    y = int.from_bytes(key.public_bytes_raw(), "little")
    if isinstance(key, Ed25519PublicKey):
        return y % 2**255 % _P25519 in _SMALL_25519
    return y % 2**455 % _P448 in _SMALL_448


def is_on_curve(key: object, algorithm: str) -> bool:
    """Whether the key has the curve that the name of the algorithm gives. `EdDSA` and others give none."""
    if algorithm == "Ed25519":
        return isinstance(key, Ed25519PublicKey)
    return isinstance(key, Ed448PublicKey) or algorithm != "Ed448"
