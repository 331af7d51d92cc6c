"""GET /openapi.json: the whole API as one document for machines; /docs shows it to people."""

from __future__ import annotations

from functools import cache

from flask import Blueprint, Response, json

from broker.http import guards
from broker.http.openapi.document import document

bp = Blueprint("openapi", __name__)


@bp.get("/openapi.json")
@guards.public
def openapi() -> Response:
    response = Response(_text(), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return response


@cache
def _text() -> str:
    return json.dumps(document())
