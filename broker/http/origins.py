"""Which web origins may call the broker, and the CORS headers for browsers."""

from __future__ import annotations

import re
from collections.abc import Collection

from flask import Request, Response

from broker.errors import Refusal
from broker.http.client_address import requested_host
from broker.net import canonical

_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]{0,30}://[A-Za-z0-9.:\[\]_-]{1,260}")
_ADMIN_HINT = "Only the broker's own pages may call /admin. Programs send no Origin header."
_EXPOSED = "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
_READ = (
    "Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", "X-Firebase-AppCheck", "X-Request-Id",
)  # fmt: skip
# Tracing tools add these to every request of an app. The broker uses only the first two, but a browser would
# not send the request without leave: the end of a session would be lost, and the session charged in full.
_TRACING = (
    "traceparent", "tracestate", "baggage",  # W3C, OpenTelemetry
    "sentry-trace",
    "b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags",  # Zipkin
    "X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Origin", "X-Datadog-Sampling-Priority",
    "X-Datadog-Tags", "newrelic", "elastic-apm-traceparent", "uber-trace-id", "X-Honeycomb-Trace",
    "X-Cloud-Trace-Context", "X-Amzn-Trace-Id", "grpc-trace-bin",
    "Request-Id", "Request-Context", "Correlation-Context", "X-Correlation-Id",  # Application Insights
    "X-Instana-T", "X-Instana-S", "X-Instana-L", "X-Dtc", "X-DtPc", "X-Dynatrace", "sw8",
)  # fmt: skip
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": ", ".join((*_READ, *_TRACING)),
    "Access-Control-Max-Age": "600",
}


def allowed_at(path: str, allowed: Collection[str]) -> Collection[str]:
    """The settings can never open /admin to another origin."""
    return () if path == "/admin" or path.startswith("/admin/") else allowed


def is_same_origin(request: Request) -> bool:
    """Whether the browser reports that our own page sent this request.

    A page that came by https matches by its host alone: behind a proxy that ends TLS, we see http.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site") == "same-origin"
    scheme, separator, rest = origin.partition("://")
    if not separator or scheme not in {request.scheme, "https"}:
        return False
    ours = canonical.authority(requested_host(request), scheme)
    return ours is not None and canonical.authority(rest, scheme) == ours


def check(request: Request, allowed: Collection[str]) -> None:
    """Reject a page that may not call. A caller without an Origin header is not a browser page."""
    origin = request.headers.get("Origin")
    allowed_here = allowed_at(request.path, allowed)
    if origin is None or origin in allowed_here or is_same_origin(request):
        return
    # The log shows what an operator would have to allow. Another text may be anything.
    named = f"origin {origin}" if _ORIGIN.fullmatch(origin) else "the Origin header is malformed"
    if allowed_here is not allowed:
        raise Refusal("origin-forbidden", hint=_ADMIN_HINT, reason=f"{named}; /admin is for our own pages")
    hint = "The operator can add this origin to BROKER_ALLOWED_ORIGINS."
    raise Refusal("origin-forbidden", hint=hint, reason=f"{named} is not in BROKER_ALLOWED_ORIGINS")


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def add_headers(request: Request, response: Response, allowed: Collection[str]) -> None:
    """On every response, errors included, so that the page can read the error. Never with cookies."""
    origin = request.headers.get("Origin")
    if allowed:
        response.vary.add("Origin")
    if origin not in allowed_at(request.path, allowed):
        return
    response.headers["Access-Control-Allow-Origin"] = str(origin)
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if is_preflight(request):
        response.headers.update(_PREFLIGHT)
