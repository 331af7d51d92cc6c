"""TokenCipher: a token that is stored for a minute, so that a repeated request gets the same one.

AES-256-GCM, with a key of its own for each Idempotency-Key, made of that and of the broker's secret. A copy
of the database alone opens nothing, and neither does the broker until the caller sends its Idempotency-Key
again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.errors import Refusal
from broker.idempotency.key import IdempotencyKey
from broker.minting.minter import MintedToken

_NONCE_BYTES = 12


class TokenCipher:
    def __init__(self, secrets: Sequence[bytes]) -> None:
        """The first one encrypts; the others decrypt what was stored before the secret was changed."""
        self._secrets = secrets

    def encrypt(self, key: IdempotencyKey, token: MintedToken) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + _cipher(self._secrets[0], key).encrypt(nonce, token.name.encode(), key.key.encode())

    def decrypt(self, key: IdempotencyKey, encrypted: bytes) -> MintedToken:
        """Refuses `busy` if none of the secrets fits."""
        nonce, box = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
        for secret in self._secrets:
            try:
                return MintedToken(_cipher(secret, key).decrypt(nonce, box, key.key.encode()).decode())
            except InvalidTag:
                continue
        raise Refusal("busy", reason="a stored token does not decrypt: another BROKER_SECRET_KEY")


def _cipher(secret: bytes, key: IdempotencyKey) -> AESGCM:
    return AESGCM(hmac.digest(secret, key.header.encode(), hashlib.sha256))
