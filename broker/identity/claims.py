"""Checks the claims of a token after its signature was verified, for every issuer.

PyJWT does not check these: it accepts numbers as strings, floats or booleans, and subjects that break the
store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from broker.errors import Refusal
from broker.identity import jws
from broker.principal import is_readable


def check_times(claims: Mapping[str, Any], max_life_seconds: int) -> None:
    """Requires integers, and a lifetime that is positive and within the limit."""
    issued, ends = claims.get("iat"), claims.get("exp")
    # Not isinstance, because a boolean is an instance of int.
    if type(issued) is not int or type(ends) is not int or type(claims.get("nbf", 0)) is not int:
        raise jws.invalid("iat, exp or nbf is not a whole number")
    if not 0 < ends - issued <= max_life_seconds:
        raise jws.invalid(f"exp is not within {max_life_seconds} s after iat")


def check_clock(
    claims: Mapping[str, Any], now: float, leeway_seconds: int, oldest_seconds: int | None = None
) -> None:
    """Requires that the token is valid now.

    This check is the last: only a valid token is reported as expired.
    """
    if max(claims["iat"], claims.get("nbf", 0)) > now + leeway_seconds:
        raise jws.invalid("iat or nbf: not valid yet")
    if claims["exp"] <= now - leeway_seconds:
        raise expired()
    if oldest_seconds is not None and claims["iat"] < now - leeway_seconds - oldest_seconds:
        raise expired()


def check_subject(subject: object) -> str:
    """Requires 1 to 255 characters. A control character or a lone surrogate would break the store later."""
    if not _is_identifier(subject):
        raise jws.invalid("subject")
    return subject


def check_token_id(token_id: object) -> str | None:
    """The id is optional. An id that the store cannot look up could not be blocked."""
    if token_id is None:
        return None
    if not _is_identifier(token_id):
        raise jws.invalid("jti")
    return token_id


def _is_identifier(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 1 <= len(value) <= 255 and is_readable(value)


def expired() -> Refusal:
    return Refusal("token-expired", "Sign in again for a new token.")
