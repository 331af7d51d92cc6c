"""Which web origins may call, and the CORS headers that tell browsers so."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Request, Response

from broker.errors import Refusal

_EXPOSED = "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Idempotency-Key, X-API-Key, X-Firebase-AppCheck, X-Request-Id"
    ),
    "Access-Control-Max-Age": "600",
}


def allowed_at(path: str, allowed: Collection[str]) -> Collection[str]:
    """Other origins never reach what operators do, whatever the settings allow."""
    return () if path == "/admin" or path.startswith("/admin/") else allowed


def is_same_origin(request: Request) -> bool:
    """Whether a browser says that our own page sent this.

    Only the host is compared when the page came by https: behind a proxy that ends TLS we see http.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site") == "same-origin"
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.netloc == request.host and parts.scheme in {request.scheme, "https"}


def check(request: Request, allowed: Collection[str]) -> None:
    """Refuse a page that may not call. A caller without an Origin is no browser page."""
    origin = request.headers.get("Origin")
    allowed = allowed_at(request.path, allowed)
    if origin is not None and origin not in allowed and not is_same_origin(request):
        raise Refusal("origin-forbidden", hint="The operator sets BROKER_ALLOWED_ORIGINS.")


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def add_headers(request: Request, response: Response, allowed: Collection[str]) -> None:
    """On every answer, refusals too, so that the page can read what it was told. Never with cookies."""
    origin = request.headers.get("Origin")
    if allowed:
        response.vary.add("Origin")
    if origin not in allowed_at(request.path, allowed):
        return
    response.headers["Access-Control-Allow-Origin"] = str(origin)
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if is_preflight(request):
        response.headers.update(_PREFLIGHT)
