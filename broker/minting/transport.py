"""The wire under the Google SDK, with bounds that the SDK does not have.

A total deadline over name lookup, connecting, TLS, sending and every byte of the answer; a cap on the body;
TLS verified; no proxy, and of the environment only the CA file that SSL_CERT_FILE may name; no retries. The
SDK's own timeout starts anew with every byte, so a dripping server could hold a request as long as it likes.
"""

from __future__ import annotations

import json
from contextlib import suppress

import httpcore2
import httpx2

from broker.net.outbound import Deadline, DeadlineBackend, bounded_body

BODY_BYTES = 64 * 1024
# Google keeps idle connections for minutes; half a minute spares most mints the handshake. The HTTP library
# walks its idle connections on every request, hence few.
IDLE_CONNECTIONS = 32
IDLE_SECONDS = 30.0


class BoundedTransport(httpx2.BaseTransport):
    """One per process. The deadline of a request is the timeout that the SDK asks for, taken as a total."""

    def __init__(self, *, max_connections: int, default_seconds: float = 5.0) -> None:
        self._default_seconds = default_seconds
        self._deadline = Deadline()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            retries=0,
            network_backend=DeadlineBackend(self._deadline),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        seconds = request.extensions.get("timeout", {}).get("read") or self._default_seconds
        # Unpacked, 64 KB can be a thousand times as much.
        request.headers["accept-encoding"] = "identity"
        plain = httpcore2.Request(
            method=request.method,
            url=str(request.url),
            headers=request.headers.raw,
            content=request.read(),
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)},
        )
        self._deadline.start(seconds)
        response = self._pool.handle_request(plain)
        try:
            body = bounded_body(response, BODY_BYTES)
        finally:
            response.close()
        headers = [(name, value) for name, value in response.headers if name.lower() == b"content-type"]
        body = body if response.status == 200 else _error_body(body)
        return httpx2.Response(response.status, headers=headers, content=body)

    def close(self) -> None:
        self._pool.close()


def _error_body(body: bytes) -> bytes:
    """An error's status must survive a body that the SDK would choke on."""
    with suppress(ValueError, RecursionError):
        if isinstance(json.loads(body), dict):
            return body
    return b"{}"
