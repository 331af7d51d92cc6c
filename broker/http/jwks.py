"""The published key set. Anyone can verify with it the bearer tokens that an operator's key signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Blueprint
from typing_extensions import TypedDict

from broker.http import guards
from broker.http.responses import add_headers, operation
from broker.parts import parts

bp = Blueprint("jwks", __name__)

# A new key signs as soon as it is published. A longer cache would reject good tokens for longer.
_MAX_AGE_SECONDS = 300


class KeySet(TypedDict):
    keys: Sequence[Mapping[str, object]]


@bp.get("/.well-known/jwks.json")
@guards.public
@operation("The public keys that verify the broker's bearer tokens", media="application/jwk-set+json")
def key_set() -> KeySet:
    """Public halves only. Empty while the shared secret signs, because its verifiers could also sign."""
    keys = parts().keys.published()
    add_headers({"Cache-Control": f"public, max-age={_MAX_AGE_SECONDS}"})
    return {"keys": keys}
