"""GET /openapi.json: the whole API as one document for machines. The page /docs shows it to people."""

from __future__ import annotations

from functools import lru_cache

from flask import Blueprint, Flask, Response, current_app, json

from broker.http import guards
from broker.http.openapi.document import document
from broker.http.responses import operation

bp = Blueprint("openapi", __name__)


@bp.get("/openapi.json")
@guards.public
@operation("This document")
def openapi() -> Response:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the cache needs the app itself
    response = Response(_text(app), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return response


@lru_cache(maxsize=1)
def _text(app: Flask) -> str:
    return json.dumps(document(app))
