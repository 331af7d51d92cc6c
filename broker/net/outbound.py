"""Outgoing connections under one total deadline: name lookup, connecting, TLS, sending, every byte read.

A leaf. The timeouts of HTTP libraries restart with every byte, so a slow server could hold a caller forever.
Bodies are read up to a maximum size. The callers handle headers and the meaning of an answer.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import httpcore2

from broker.net.tls import TlsStream


class BodyRefused(Exception):  # noqa: N818 - an outcome, not a programming error
    """The body of an answer is too large, or compressed."""


def bounded_body(response: httpcore2.Response, max_bytes: int) -> bytes:
    """The whole body.

    Raises BodyRefused; a compressed body could be small here and huge after decompression.
    """
    for name, value in response.headers:
        if name.lower() == b"content-encoding" and value.lower() != b"identity":
            raise BodyRefused("compressed although identity was requested")
    body = b""
    assert isinstance(response.stream, Iterable)
    for chunk in response.stream:
        body += chunk
        if len(body) > max_bytes:
            raise BodyRefused(f"more than {max_bytes} bytes")
    return body


class Deadline(threading.local):
    """When the current request of this thread must end. A request never changes threads."""

    at = 0.0

    def start(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left(self, timed_out: type[httpcore2.TimeoutException]) -> float:
        left = self.at - time.monotonic()
        if left <= 0:
            raise timed_out("the total deadline has passed")
        return left


class _DeadlineStream(httpcore2.NetworkStream):
    """Limits each operation to the time that remains until the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
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
        return TlsStream(self, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class DeadlineBackend(httpcore2.NetworkBackend):
    """Sockets under one deadline.

    `may_connect` checks the addresses that are then connected to. So a name that resolves differently the
    next time cannot get around it.
    """

    def __init__(
        self, deadline: Deadline, *, may_connect: Callable[[str], bool] = lambda _address: True
    ) -> None:
        self._sockets = httpcore2.SyncBackend()
        self._deadline = deadline
        self._may_connect = may_connect

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the base class's
        local_address: str | None = None,  # noqa: ARG002 - the base class's
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - the base class's
    ) -> httpcore2.NetworkStream:
        """Tries one address after another within the deadline. The certificate must still match the name."""
        failure: httpcore2.ConnectError | None = None
        found = _addresses(host, port, self._deadline.left(httpcore2.ConnectTimeout))
        addresses = [address for address in found if self._may_connect(address)]
        if not addresses:
            raise httpcore2.ConnectError("connections to every address of this name are forbidden")
        for tried, address in enumerate(addresses):
            # An address that does not answer must leave time for the next one.
            seconds = self._deadline.left(httpcore2.ConnectTimeout) / (len(addresses) - tried)
            try:
                stream = self._sockets.connect_tcp(address, port, seconds)
            except httpcore2.ConnectTimeout:
                failure = None
            except httpcore2.ConnectError as error:
                failure = error
            else:
                return _DeadlineStream(stream, self._deadline)
        raise failure or httpcore2.ConnectTimeout("no address answered in time")


def _addresses(host: str, port: int, seconds: float) -> list[str]:
    """Resolves the name in another thread, because the system's resolver takes no deadline."""
    with suppress(ValueError):
        return [str(ip_address(host))]
    found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:  # UnicodeError: the name cannot be encoded
            found.put(error)

    threading.Thread(target=look_up, name="name-lookup", daemon=True).start()
    try:
        addresses = found.get(timeout=seconds)
    except queue.Empty:
        raise httpcore2.ConnectTimeout("the name lookup timed out") from None
    if isinstance(addresses, Exception):
        raise httpcore2.ConnectError("the name was not found")
    return addresses
