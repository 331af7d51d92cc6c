"""GET /openapi.json: the whole API as one document for machines. The page /docs shows it to people."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from threading import Lock

from flask import Blueprint, Flask, Response, current_app, json

from broker.http import guards
from broker.http.openapi.document import document
from broker.http.responses import operation

bp = Blueprint("openapi", __name__)
# Making the document takes a tenth of a second of CPU. Without the lock, each thread would do it at first.
_MAKING = Lock()


@bp.get("/openapi.json")
@guards.public
@operation("This document")
def openapi() -> Response:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the cache needs the app itself
    with _MAKING:
        body, etag = _made(app)
    response = Response(body, mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    response.set_etag(etag)
    return response


@lru_cache(maxsize=1)
def _made(app: Flask) -> tuple[bytes, str]:
    body = json.dumps(document(app)).encode()
    return body, hashlib.sha256(body).hexdigest()[:16]
