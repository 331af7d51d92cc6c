"""The wire under the Google SDK, with bounds that the SDK does not have.

A total deadline over name lookup, connecting, TLS, sending and every byte of the answer; a cap on the body;
TLS verified; no proxy, and of the environment only the CA file that SSL_CERT_FILE may name; no retries. The
SDK's own timeout starts anew with every byte, so a dripping server could hold a request as long as it likes.
"""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2

BODY_BYTES = 64 * 1024
# Google keeps idle connections for minutes; half a minute spares most mints the handshake. The HTTP library
# walks its idle connections on every request, hence few.
IDLE_CONNECTIONS = 32
IDLE_SECONDS = 30.0


class BodyRefused(Exception):  # noqa: N818 - named for what happened to the body
    """The answer was too large, or packed so that its size could not be known."""


class BoundedTransport(httpx2.BaseTransport):
    """One per process. The deadline of a request is the timeout that the SDK asks for, taken as a total."""

    def __init__(self, *, max_connections: int, default_seconds: float = 5.0) -> None:
        self._default_seconds = default_seconds
        self._deadline = _Deadline()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            retries=0,
            network_backend=_DeadlineBackend(self._deadline),
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
            body = _body(response)
        finally:
            response.close()
        headers = [(name, value) for name, value in response.headers if name.lower() == b"content-type"]
        body = body if response.status == 200 else _error_body(body)
        return httpx2.Response(response.status, headers=headers, content=body)

    def close(self) -> None:
        self._pool.close()


def _body(response: httpcore2.Response) -> bytes:
    encoding = dict(response.headers).get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise BodyRefused("packed although asked not to be")
    body = b""
    assert isinstance(response.stream, Iterable)
    for chunk in response.stream:
        body += chunk
        if len(body) > BODY_BYTES:
            raise BodyRefused(f"more than {BODY_BYTES} bytes")
    return body


def _error_body(body: bytes) -> bytes:
    """An error's status must survive a body that the SDK would choke on."""
    with suppress(ValueError, RecursionError):
        if isinstance(json.loads(body), dict):
            return body
    return b"{}"


class _Deadline(threading.local):
    """When the running request of this thread must be over; a request never changes threads."""

    at = 0.0

    def start(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left(self, timed_out: type[httpcore2.TimeoutException]) -> float:
        left = self.at - time.monotonic()
        if left <= 0:
            raise timed_out("the total deadline has passed")
        return left


class _DeadlineStream(httpcore2.NetworkStream):
    """Gives each operation only what is left of the whole."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the base class's
        return self._stream.read(max_bytes, self._deadline.left(httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the base class's
        self._stream.write(buffer, self._deadline.left(httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the base class's
    ) -> httpcore2.NetworkStream:
        left = self._deadline.left(httpcore2.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore2.NetworkBackend):
    def __init__(self, deadline: _Deadline) -> None:
        self._sockets = httpcore2.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the base class's
        local_address: str | None = None,  # noqa: ARG002 - the base class's
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - the base class's
    ) -> httpcore2.NetworkStream:
        """Tries the addresses one after another within the deadline; the certificate is still the name's."""
        failure: httpcore2.ConnectError | None = None
        addresses = _addresses(host, port, self._deadline.left(httpcore2.ConnectTimeout))
        for tried, address in enumerate(addresses):
            # One silent address must leave time for the next.
            share = self._deadline.left(httpcore2.ConnectTimeout) / (len(addresses) - tried)
            try:
                stream = self._sockets.connect_tcp(address, port, share)
            except httpcore2.ConnectTimeout:
                failure = None
            except httpcore2.ConnectError as error:
                failure = error
            else:
                return _DeadlineStream(stream, self._deadline)
        raise failure or httpcore2.ConnectTimeout("no address answered in time")


def _addresses(host: str, port: int, seconds: float) -> list[str]:
    """Looks the name up aside, because the system's resolver takes no deadline; a literal needs none."""
    with suppress(ValueError):
        return [str(ip_address(host))]
    found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:  # the second: a name that cannot be encoded
            found.put(error)

    threading.Thread(target=look_up, name="name-lookup", daemon=True).start()
    try:
        addresses = found.get(timeout=seconds)
    except queue.Empty:
        raise httpcore2.ConnectTimeout("the name was not found in time") from None
    if isinstance(addresses, Exception):
        raise httpcore2.ConnectError("the name was not found")
    return addresses
