"""Each request gets an id, a closing log line, metrics, and the headers that every response has.

Refusals that repeat share a line.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

import structlog
from flask import Flask, Response, g, request

from broker.errors import Refusal
from broker.http import origins
from broker.http.client_address import client_address
from broker.http.problems import MessageRefusal
from broker.http.security_headers import add_security_headers
from broker.http.wsgi import RECEIVED, REFUSAL, RETRY_AFTER
from broker.parts import parts
from broker.principal import GUEST_ISSUER, Principal
from broker.telemetry.log import redact
from broker.telemetry.metrics import HTTP_REQUESTS, HTTP_SECONDS, REFUSALS
from broker.telemetry.repeats import RepeatedLines
from broker.telemetry.request_context import bind_client_address, bind_request_id, current_client_address

_CLOSE = {"Connection": "close"}
_log = structlog.get_logger("broker.http")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# How the keys of Google, of this broker and of other vendors begin. A part of a key is one too.
_LIKE_A_KEY = re.compile(
    r"AIza|AQ\.|GOCSPX-|ya29\.|lbk_|eyJ|auth_tokens|(sk|pk|rk)[-_]|gh[a-z]_|github_pat_|glpat-|xox[a-z]-"
    r"|A[KS]IA[0-9A-Z]|hf_|npm_|whsec_|guest\."
)


def install(app: Flask, allowed_origins: frozenset[str], live_url: str) -> None:
    """Install it before the guards: a rejected request needs an id and a log line too."""

    again = RepeatedLines(_write_line)

    def start() -> Response | None:
        # With the wait for a thread, if a server counted it.
        g.started = request.environ.get(RECEIVED, time.perf_counter())
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _may_be_kept(given) else secrets.token_hex(8)
        bind_request_id(g.request_id)
        bind_client_address(client_address(request))
        if origins.is_preflight(request) and request.url_rule is not None:  # otherwise there is nothing here
            # The browser shows its page a network fault only, so the log and this answer name the cause.
            origins.check(request, allowed_origins)
            return Response(status=204)
        if REFUSAL in request.environ:
            raise MessageRefusal(
                request.environ[REFUSAL],
                _CLOSE,
                reason="refused by the server",
                retry_after_seconds=request.environ.get(RETRY_AFTER),
            )
        return None

    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        origins.add_headers(request, response, allowed_origins)
        add_security_headers(request, response, live_url, is_tls=request.is_secure or _tls_ended_before())
        _closing_line(response, again)
        _count(response)
        return response

    app.before_request(start)
    app.after_request(finish)
    # Otherwise later log lines of gunicorn on this thread would carry the id of this request.
    app.teardown_request(lambda _: bind_request_id(""))


def _may_be_kept(given: str) -> bool:
    """The id appears in answers, in the log and in the audit trail, so it must not be a credential."""
    return bool(_SAFE_ID.fullmatch(given)) and not _LIKE_A_KEY.match(given) and redact(given) == given


def _tls_ended_before() -> bool:
    return parts().proxies.ended_tls(request.remote_addr, request.headers.get("X-Forwarded-Proto", ""))


def _closing_line(response: Response, again: RepeatedLines) -> None:
    refusal: Refusal | None = g.get("refusal")
    principal: Principal | None = g.get("principal")
    same = {
        "method": request.method,
        # The rule, not the path: the path of an unknown address may contain anything.
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        **({"code": refusal.code} if refusal else {}),
        **({"acting": principal.actor.subject} if principal and principal.actor else {}),
    }
    further = {
        **({"reason": refusal.reason} if refusal else {}),
        **({"issuer": principal.issuer, "subject": principal.subject} if principal else {}),
    }
    # Failures of the broker or of Google always have their own line.
    if refusal is None or (refusal.status >= 500 and refusal.status != 503):
        _write_line(**same, **further)
    else:
        if principal is not None and principal.issuer != GUEST_ISSUER:
            caller, also = principal.requester.key, {}
        else:
            address = current_client_address()
            caller, also = f"address:{address}", {"address": address}
        method = request.method if request.method in _METHODS else "other"  # a client may send any word
        again.log(caller, {**same, "method": method}, also=also, **further)


def _write_line(**fields: Any) -> None:
    """A line with `times` counts several requests. It is written outside of them and has no duration."""
    write = _log.error if fields["status"] >= 500 else _log.info
    if "times" not in fields:
        fields["milliseconds"] = round((time.perf_counter() - g.started) * 1000, 1)
    write("request", **fields)


def _count(response: Response) -> None:
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in _METHODS else "other"  # a client may send any word
    HTTP_REQUESTS.labels(route, method, response.status_code).inc()
    HTTP_SECONDS.labels(route).observe(time.perf_counter() - g.started)
    refusal: Refusal | None = g.get("refusal")
    if refusal:
        REFUSALS.labels(refusal.code).inc()
