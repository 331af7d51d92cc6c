"""What every verifier asks of a token's claims once the signature was good, whoever signed it.

PyJWT leaves these open: numbers given as strings, floats or booleans pass, and so does a subject that would
break the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from broker.errors import Refusal
from broker.identity import jws


def check_times(claims: Mapping[str, Any], longest_life_seconds: int) -> None:
    """Real integers, and a life that is neither negative nor longer than agreed."""
    issued, ends = claims.get("iat"), claims.get("exp")
    # `type`, because a boolean is an int to isinstance.
    if type(issued) is not int or type(ends) is not int or type(claims.get("nbf", 0)) is not int:
        raise jws.invalid("times")
    if not 0 < ends - issued <= longest_life_seconds:
        raise jws.invalid("life")


def check_clock(
    claims: Mapping[str, Any], now: float, leeway_seconds: int, oldest_seconds: int | None = None
) -> None:
    """That the token holds now. Last of all checks: only of a good token may be said that it has expired."""
    if max(claims["iat"], claims.get("nbf", 0)) > now + leeway_seconds:
        raise jws.invalid("not valid yet")
    if claims["exp"] <= now - leeway_seconds:
        raise expired()
    if oldest_seconds is not None and claims["iat"] < now - leeway_seconds - oldest_seconds:
        raise expired()


def check_subject(subject: object) -> str:
    """1 to 255 printable characters: a NUL or a lone surrogate would break the store later."""
    if not _is_identifier(subject):
        raise jws.invalid("subject")
    return subject


def check_token_id(token_id: object) -> str | None:
    """A token need have no id; one that cannot be looked up could not be blocked."""
    if token_id is None:
        return None
    if not _is_identifier(token_id):
        raise jws.invalid("jti")
    return token_id


def _is_identifier(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 1 <= len(value) <= 255 and value.isprintable()


def expired() -> Refusal:
    return Refusal("token-expired", "Sign in again for a new token.")
