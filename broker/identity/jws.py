"""Parses a compact JWS strictly, before its verification.

PyJWT accepts a payload that contains the same member twice, and JSON libraries disagree about which value
counts. So a token that two parsers could read differently is refused before it is verified.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from broker.errors import Refusal
from broker.net import strict_json

MAX_LENGTH = 8192  # of a bearer, which each request carries
MAX_ID_TOKEN_LENGTH = 16384  # read once per sign-in; a token with many groups is long
# base64url without padding (RFC 7515, section 2), so each token has only one spelling.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


@dataclass(frozen=True)
class UnverifiedToken:
    """Not verified yet: its content may only select among configured issuers, keys and algorithms."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]


def read(text: str, max_length: int = MAX_LENGTH) -> UnverifiedToken:
    """Refuses `invalid-token` if the text is not a compact JWS with two JSON objects."""
    if len(text) > max_length:
        raise invalid("too long")
    if not _COMPACT.fullmatch(text):
        raise invalid("not a compact JWS")
    header, claims, _signature = text.split(".")
    return UnverifiedToken(text, _object(header), _object(claims))


def invalid(reason: str) -> Refusal:
    return Refusal("invalid-token", reason=reason)


def _object(part: str) -> dict[str, Any]:
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = strict_json.loads(raw)
    except (binascii.Error, ValueError) as error:
        raise invalid("not JSON") from error
    if not isinstance(value, dict):
        raise invalid("not an object")
    return value
