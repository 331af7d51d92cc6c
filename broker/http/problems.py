"""Any exception -> one JSON error body (RFC 9457) that reveals nothing internal.

The only maker of error bodies.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NotRequired

import structlog
from flask import Flask, Response, g, json
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from broker.errors import Code, Refusal
from broker.http import ratelimit
from broker.net.timestamps import rfc3339
from broker.telemetry.request_context import current_request_id

_log = structlog.get_logger("broker.http")
_CODE_OF_STATUS: Mapping[int, Code] = {
    400: "bad-request",
    404: "not-found",
    405: "method",
    408: "request-timeout",
    413: "too-large",
    415: "media-type",
}
# The caller must not learn which check failed, but what to do is no secret.
_HINTS: Mapping[Code, str] = {
    "invalid-token": "Sign in again, get a new token from your issuer, or check the service key. "
    "The broker's log has the reason under this request_id.",
}
_CHALLENGE = 'Bearer realm="live-broker"'


@with_config(ConfigDict(extra="forbid"))
class Field(TypedDict):
    field: str
    problem: str


@with_config(ConfigDict(extra="allow"))
class Problem(TypedDict):
    """RFC 9457. Branch on `code`. Some codes have members of their own."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    hint: NotRequired[str]
    retry_after_seconds: NotRequired[int]
    fields: NotRequired[list[Field]]


class MessageRefusal(Refusal):
    """A refusal of the HTTP message itself. `headers` go on the answer."""

    def __init__(
        self,
        code: Code,
        headers: Mapping[str, str],
        *,
        reason: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(code, reason=reason, retry_after_seconds=retry_after_seconds)
        self.headers = headers


def register(app: Flask) -> None:
    app.register_error_handler(Refusal, answer)
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(Exception, _exception)


def answer(refusal: Refusal) -> Response:
    g.refusal = refusal
    problem: Problem = {
        "type": f"urn:live-broker:problem:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail or refusal.title,
        "code": refusal.code,
        "request_id": current_request_id(),
    }
    if hint := refusal.hint or _HINTS.get(refusal.code):
        problem["hint"] = hint
    if refusal.retry_after_seconds:
        problem["retry_after_seconds"] = refusal.retry_after_seconds
    text = json.dumps({**problem, **refusal.extensions}, default=_time)
    response = Response(text, refusal.status, mimetype="application/problem+json")
    response.headers.update(ratelimit.fields(refusal.limits))
    if isinstance(refusal, MessageRefusal):
        response.headers.update(refusal.headers)
    if refusal.retry_after_seconds:
        response.headers["Retry-After"] = str(refusal.retry_after_seconds)
    if refusal.status == 401:
        # RFC 6750, section 3.1: no error code for a request without credentials.
        error = "" if refusal.code == "missing-credentials" else ', error="invalid_token"'
        response.headers["WWW-Authenticate"] = _CHALLENGE + error
    return response


def _http_exception(error: HTTPException) -> Response:
    code = _CODE_OF_STATUS.get(error.code or 500)
    if code is None:
        return _exception(error)
    allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
    return answer(MessageRefusal(code, headers))


def _exception(error: Exception) -> Response:
    _log.error("request_failed", exc_info=error)
    return answer(Refusal("internal", reason=type(error).__name__))


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    raise TypeError(f"a problem body contains a {type(value).__name__}")
