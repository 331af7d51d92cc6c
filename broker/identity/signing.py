"""The broker's own keys and access tokens.

Every symmetric key is derived from BROKER_SECRET_KEY with its own label, so that no key can replace another.
If BROKER_SIGNING_KEY is set, that key signs instead. Each key has one fixed algorithm.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from broker.principal import OWN_ISSUER

AUDIENCE = "live-broker"
TYPE = "at+jwt"  # RFC 9068: marks access tokens, so that no other JWT of the broker is accepted as one
LIFETIME_SECONDS = 3600

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


def derive(secret: str, label: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"live-broker {label}".encode()).derive(secret.encode())


@dataclass(frozen=True)
class SigningKey:
    kid: str
    key: bytes | PrivateKey | None = field(repr=False)
    """The key that signs. None for a previous key, which only verifies."""
    algorithm: str = "HS256"
    public: PublicKey | None = None
    """The public key. None for a symmetric key."""

    @classmethod
    def from_secret(cls, secret: str) -> SigningKey:
        return cls(derive(secret, "kid").hex()[:12], derive(secret, "access-token"))

    @classmethod
    def from_pem(cls, pem: str) -> SigningKey:
        """From an Ed25519 or P-256 key, private or public. The `kid` is the thumbprint (RFC 7638)."""
        private = load_pem_private_key(pem.encode(), None) if "PRIVATE KEY" in pem else None
        public = private.public_key() if private else load_pem_public_key(pem.encode())
        assert private is None or isinstance(private, PrivateKey)
        assert isinstance(public, PublicKey)
        algorithm = "EdDSA" if isinstance(public, Ed25519PublicKey) else "ES256"
        return cls(_thumbprint(_members(public, algorithm)), private, algorithm, public)

    @property
    def verifying(self) -> bytes | PublicKey:
        if self.public is not None:
            return self.public
        assert isinstance(self.key, bytes)
        return self.key

    def jwk(self) -> dict[str, str] | None:
        """The public key as a JWK. None for a symmetric key."""
        if self.public is None:
            return None
        return {**_members(self.public, self.algorithm), "kid": self.kid, "use": "sig", "alg": self.algorithm}


@dataclass(frozen=True)
class KeyRing:
    """`signs` signs new tokens. `honoured` contains all keys whose tokens are accepted, by `kid`."""

    signs: SigningKey
    honoured: Mapping[str, SigningKey]

    @classmethod
    def of(cls, secrets_: Iterable[str], pem: str | None = None, previous_pem: str | None = None) -> KeyRing:
        """`secrets_`: the current secret first. With `pem`, that key signs and the others only verify."""
        keys = [SigningKey.from_pem(text) for text in (pem, previous_pem) if text]
        symmetric = [SigningKey.from_secret(secret) for secret in secrets_]
        signs = keys[0] if pem else symmetric[0]
        return cls(signs, {key.kid: key for key in (*keys, *symmetric)})

    def published(self) -> list[dict[str, str]]:
        """The JWKs for services that verify the broker's tokens. Empty if only the secret signs."""
        return [jwk for key in self.honoured.values() if (jwk := key.jwk())]


def issue_access_token(
    key: SigningKey, username: str, generation: str, *, now: datetime | None = None
) -> str:
    """A bearer token for a broker user, valid for LIFETIME_SECONDS."""
    issued_at = int((now or datetime.now(UTC)).timestamp())
    claims = {
        "iss": OWN_ISSUER,
        "aud": AUDIENCE,
        "sub": username,
        "iat": issued_at,
        "exp": issued_at + LIFETIME_SECONDS,
        "jti": secrets.token_urlsafe(16),
        "gen": generation,
    }
    assert key.key is not None, "a previous key cannot sign"
    return jwt.encode(claims, key.key, key.algorithm, headers={"kid": key.kid, "typ": TYPE})


def _members(public: PublicKey, algorithm: str) -> dict[str, str]:
    """The required members of the JWK (RFC 7518 section 6.2.1, RFC 8037 section 2)."""
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    return {name: str(jwk[name]) for name in ("crv", "kty", "x", "y") if name in jwk}


def _thumbprint(members: dict[str, str]) -> str:
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
