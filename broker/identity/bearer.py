"""From an unverified bearer token to the subject that it names.

Owns every check on a JWT. Algorithm and key come from our configuration alone; the token's header may
only pick a `kid` among our own keys. PyJWT leaves several things unchecked (numbers given as strings or
floats, duplicate members, `typ`), so those are checked here.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import jwt

from broker.errors import Refusal
from broker.identity.principal import OWN_ISSUER
from broker.identity.signing import ALGORITHM, AUDIENCE, LIFETIME_SECONDS, TYPE, SigningKey

MAX_LENGTH = 8192
_LEEWAY_SECONDS = 30
_HEADER_MEMBERS = {"alg", "typ", "kid"}  # so no crit, jku, jwk, x5u, b64, zip
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti"]


class BearerVerifier:
    def __init__(self, keys: Mapping[str, SigningKey]) -> None:
        self._keys = keys

    def subject(self, unverified_token: str) -> str:
        """The verified `sub`. Refuses `invalid-token`, or `token-expired` once the signature was good."""
        if len(unverified_token) > MAX_LENGTH:
            raise _invalid("too long")
        header = _part(unverified_token, 0)
        _part(unverified_token, 1)
        if header.keys() - _HEADER_MEMBERS or header.get("typ") != TYPE or header.get("alg") != ALGORITHM:
            raise _invalid("header")
        kid = header.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise _invalid("unknown kid")
        try:
            claims = jwt.decode(
                unverified_token,
                key.key,
                algorithms=[ALGORITHM],
                issuer=OWN_ISSUER,
                audience=AUDIENCE,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED, "strict_aud": True, "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise Refusal("token-expired", "Sign in again for a new token.") from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise _invalid(type(error).__name__) from error
        return _checked_subject(claims)


def _checked_subject(claims: Mapping[str, Any]) -> str:
    times = claims["iat"], claims["exp"]
    if any(type(value) is not int for value in times) or not 0 < times[1] - times[0] <= LIFETIME_SECONDS:
        raise _invalid("times")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= 255 or not subject.isprintable():
        raise _invalid("sub")
    return subject


def _part(token: str, index: int) -> dict[str, Any]:
    """One part of a compact JWS as a JSON object in which no member comes twice."""
    parts = token.split(".")
    if len(parts) != 3:
        raise _invalid("not a compact JWS")
    try:
        part = parts[index]
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = json.loads(raw, object_pairs_hook=_no_duplicates)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _invalid("not JSON") from error
    if not isinstance(value, dict):
        raise _invalid("not an object")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _invalid(reason: str) -> Refusal:
    return Refusal("invalid-token", reason=reason)
