"""The HTTP transport of the Google SDK, with limits that the SDK does not have.

One deadline covers name lookup, connecting, TLS, sending and every byte of the answer. The SDK's own timeout
restarts with every byte, so a slow server could hold a request forever. The body has a maximum size. TLS is
verified. There are no retries and no proxies; the environment can only set the CA file (SSL_CERT_FILE).
"""

from __future__ import annotations

import json
import time
from contextlib import suppress

import httpcore2
import httpx2

from broker.net.outbound import Deadline, DeadlineBackend, bounded_body
from broker.telemetry import clocks

BODY_BYTES = 64 * 1024
# Google keeps idle connections for minutes. A minute saves most mints the handshake. The HTTP library checks
# all its idle connections on every request, so there are few.
IDLE_CONNECTIONS = 32
IDLE_SECONDS = 60.0
_KEPT = (b"content-type", b"retry-after")


class BoundedTransport(httpx2.BaseTransport):
    """One per process. The timeout that the SDK requests is the total deadline of the request."""

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
        """For the SDK."""
        seconds = request.extensions.get("timeout", {}).get("read") or self._default_seconds
        # A compressed body of 64 KB can expand a thousand times.
        request.headers["accept-encoding"] = "identity"
        plain = httpcore2.Request(
            method=request.method,
            url=str(request.url),
            headers=request.headers.raw,
            content=request.read(),
        )
        status, headers, body = self.send(plain, seconds)
        return httpx2.Response(status, headers=headers, content=body)

    def send(
        self, request: httpcore2.Request, seconds: float
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """(status, headers, body) within `seconds`. The body of an error is always a JSON object."""
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        self._deadline.start(seconds)
        started = time.monotonic()
        response = self._pool.handle_request(request)
        _compare_clocks(response, time.monotonic() - started)
        try:
            body = bounded_body(response, BODY_BYTES)
        finally:
            response.close()
        headers = [(name, value) for name, value in response.headers if name.lower() in _KEPT]
        return response.status, headers, body if response.status == 200 else _error_body(body)

    def close(self) -> None:
        self._pool.close()


def _compare_clocks(response: httpcore2.Response, took_seconds: float) -> None:
    for name, value in response.headers:
        if name.lower() == b"date":
            clocks.compare_date(clocks.GOOGLE, value.decode("latin-1"), took_seconds)


def _error_body(body: bytes) -> bytes:
    """The body, or an empty object where the SDK could not parse it and would lose the HTTP status."""
    with suppress(ValueError, RecursionError):
        if isinstance(json.loads(body), dict):
            return body
    return b"{}"
