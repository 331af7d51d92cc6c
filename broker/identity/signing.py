"""Our own keys and our own access tokens (HS256 JWTs).

Every key is derived from BROKER_SECRET_KEY with its own label, so that no key can stand in for another.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from broker.identity.principal import OWN_ISSUER

ALGORITHM = "HS256"
AUDIENCE = "live-broker"
TYPE = "at+jwt"  # RFC 9068: an access token, so that no other JWT of ours could pass as one
LIFETIME_SECONDS = 3600


def derive(secret: str, label: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"live-broker {label}".encode()).derive(secret.encode())


@dataclass(frozen=True)
class SigningKey:
    kid: str
    key: bytes = field(repr=False)

    @classmethod
    def from_secret(cls, secret: str) -> SigningKey:
        return cls(derive(secret, "kid").hex()[:12], derive(secret, "access-token"))


def issue_access_token(key: SigningKey, username: str, *, now: datetime | None = None) -> str:
    """A bearer for one of our own users, good for LIFETIME_SECONDS."""
    issued_at = int((now or datetime.now(UTC)).timestamp())
    claims = {
        "iss": OWN_ISSUER,
        "aud": AUDIENCE,
        "sub": username,
        "iat": issued_at,
        "exp": issued_at + LIFETIME_SECONDS,
        "jti": secrets.token_urlsafe(16),
    }
    return jwt.encode(claims, key.key, ALGORITHM, headers={"kid": key.kid, "typ": TYPE})
