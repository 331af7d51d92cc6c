"""Our published key set: with it anybody can verify the bearers that we sign with a key of the operator's."""

from __future__ import annotations

from flask import Blueprint, Response, json

from broker.http import guards
from broker.parts import parts

bp = Blueprint("keys", __name__)

# A new key is published as soon as it signs, so whoever caches for longer refuses good tokens for longer.
_MAX_AGE_SECONDS = 300


@bp.get("/.well-known/jwks.json")
@guards.public
def key_set() -> Response:
    """Public halves only; empty while the secret signs, since what verifies that could also sign it."""
    keys = parts().keys.published()
    response = Response(json.dumps({"keys": keys}), mimetype="application/jwk-set+json")
    response.headers["Cache-Control"] = f"public, max-age={_MAX_AGE_SECONDS}"
    return response
