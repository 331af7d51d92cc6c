"""Verifies the broker's own access tokens.

PyJWT does not check `typ`, or numbers given as strings or floats, so this module does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt

from broker.identity import jws
from broker.identity.bearer import Verified
from broker.identity.claims import check_subject, check_times, expired
from broker.identity.jws import UnverifiedToken
from broker.identity.signing import AUDIENCE, LIFETIME_SECONDS, TYPE, SigningKey
from broker.principal import OWN_ISSUER, Principal

_LEEWAY_SECONDS = 30
_HEADER_MEMBERS = {"alg", "typ", "kid"}  # so no crit, jku, jwk, x5u, b64, zip
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti", "gen"]


class OwnTokens:
    issuer = OWN_ISSUER

    def __init__(self, keys: Mapping[str, SigningKey]) -> None:
        self._keys = keys

    def verify(self, unverified: UnverifiedToken) -> Verified:
        claims = self._claims(unverified)
        subject = claims["sub"]
        # Each request looks up plan and roles; they are not in the token.
        principal = Principal(OWN_ISSUER, subject, subject, "default")
        issued_at = datetime.fromtimestamp(claims["iat"], UTC)
        return Verified(principal, issued_at, claims["jti"], claims["gen"])

    def _claims(self, unverified: UnverifiedToken) -> dict[str, Any]:
        header = unverified.header
        if header.keys() - _HEADER_MEMBERS or header.get("typ") != TYPE:
            raise jws.invalid("header")
        kid = header.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise jws.invalid("unknown kid")
        # Each key has one algorithm. A header with another algorithm is refused.
        if header.get("alg") != key.algorithm:
            raise jws.invalid("alg")
        try:
            claims: dict[str, Any] = jwt.decode(
                unverified.text,
                key.verifying,
                algorithms=[key.algorithm],
                issuer=OWN_ISSUER,
                audience=AUDIENCE,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED, "strict_aud": True, "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise expired() from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise jws.invalid(type(error).__name__) from error
        check_times(claims, LIFETIME_SECONDS)
        check_subject(claims["sub"])
        if not all(isinstance(claims[name], str) and claims[name] for name in ("jti", "gen")):
            raise jws.invalid("jti or gen")
        return claims
