"""Seal: a token that is kept for a minute, so that a request that is repeated gets the same one.

AES-256-GCM under a key of its own for each Idempotency-Key, made of that and of the broker's secret: a
database alone opens nothing, and neither does the broker until the caller brings its Idempotency-Key again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.errors import Refusal
from broker.idempotency.record import IdempotencyKey
from broker.minting.minter import MintedToken

_NONCE_BYTES = 12


class TokenCipher:
    def __init__(self, keys: Sequence[bytes]) -> None:
        """The first one seals; the others open what was sealed before the secret was changed."""
        self._keys = keys

    def close(self, once: IdempotencyKey, token: MintedToken) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + _cipher(self._keys[0], once).encrypt(nonce, token.name.encode(), once.key.encode())

    def open(self, once: IdempotencyKey, sealed: bytes) -> MintedToken:
        nonce, box = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for key in self._keys:
            try:
                return MintedToken(_cipher(key, once).decrypt(nonce, box, once.key.encode()).decode())
            except InvalidTag:
                continue
        raise Refusal("busy", reason="a sealed token does not open: another BROKER_SECRET_KEY")


def _cipher(key: bytes, once: IdempotencyKey) -> AESGCM:
    return AESGCM(hmac.digest(key, once.idempotency_key.encode(), hashlib.sha256))
