"""A span for each request that reaches Flask, in the trace of the caller.

Needs `telemetry.traces`. Nothing here runs if the environment does not ask for traces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, request

from broker.telemetry import traces

Environ = dict[str, Any]
_HEADERS = ("traceparent", "tracestate")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def install(app: Flask, *, wanted: bool) -> None:
    """Starts the exporter of this process, so call it after the fork."""
    if not wanted:
        return
    traces.start()
    run = app.wsgi_app

    def traced(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        names = ((name, environ.get(f"HTTP_{name.upper()}")) for name in _HEADERS)
        with traces.request({name: value for name, value in names if value}):
            return run(environ, start_response)

    app.wsgi_app = traced  # type: ignore[method-assign]
    app.after_request(_describe)


def _describe(response: Response) -> Response:
    # The rule, not the path: the path of an unknown address may contain anything.
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in _METHODS else "_OTHER"
    status = response.status_code
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
    }
    session = (request.view_args or {}).get("session_id")
    if session and response.status_code < 400:  # otherwise it is any text
        attributes["broker.session_id"] = session
    traces.note(attributes, name=f"{method} {route}", failed=status >= 500)
    return response
