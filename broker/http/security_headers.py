"""The security headers of every response: content security policy, HSTS, and the defaults for caches.

A worker takes the policy of its own response, so its file carries one. Other scripts and style sheets go
without headers that only documents heed: a page has dozens of them, and the headers would outweigh the files.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Request, Response

# The policy of the document applies to these. Only their media type must be believed.
_PARTS_OF_DOCUMENTS = (".js", ".css")
_WORKER = "-worker.js"
NETWORK_WORKER = "live/network/network-worker.js"
_CLOSED = "default-src 'none'; frame-ancestors 'none'"
_ON_DOCUMENTS = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(self), display-capture=(self), "
    "screen-wake-lock=(self), speaker-selection=(self)",
}


def add_security_headers(request: Request, response: Response, live_url: str, *, is_tls: bool) -> None:
    """`is_tls`: the client used https, to us or to a proxy of ours."""
    headers = response.headers
    headers["X-Content-Type-Options"] = "nosniff"
    if is_tls:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    is_ours = request.blueprint == "pages" and response.status_code < 400
    if is_ours and request.path.endswith(_PARTS_OF_DOCUMENTS) and not request.path.endswith(_WORKER):
        return
    is_document = response.mimetype == "text/html"
    if is_ours and request.path.endswith(NETWORK_WORKER):
        headers["Content-Security-Policy"] = _worker_policy(live_url)
    elif is_ours and is_document:
        # The operators' page connects to the broker only.
        connects_to = "'self'" if request.endpoint == "pages.ops" else _self_and_live(live_url)
        headers["Content-Security-Policy"] = _page_policy(connects_to)
    headers.setdefault("Content-Security-Policy", _CLOSED)
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if is_document or not is_ours:
        headers.update(_ON_DOCUMENTS)
    if "Cache-Control" not in headers:  # files and the key set state how long caches may keep them
        headers["Cache-Control"] = "no-store"
        response.vary.update(("Origin", "Authorization", "Cookie"))


def _self_and_live(live_url: str) -> str:
    url = urlsplit(live_url)
    return f"'self' {'ws' if url.scheme == 'http' else 'wss'}://{url.netloc}"


def _worker_policy(live_url: str) -> str:
    return (
        f"default-src 'none'; script-src 'self'; connect-src {_self_and_live(live_url)}; "
        "require-trusted-types-for 'script'"
    )


def _page_policy(connects_to: str) -> str:
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"media-src 'self' blob:; font-src 'self'; connect-src {connects_to}; worker-src 'self'; "
        "manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types live-broker"
    )
