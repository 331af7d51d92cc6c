"""Outgoing connections under one total deadline: name lookup, connecting, TLS, sending, every byte read.

A leaf. The timeouts of HTTP libraries start anew with every byte, so a dripping server could hold a caller
as long as it likes. Reads bodies up to a bound. Leaves headers, and what an answer means, to those who call.
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


class BodyRefused(Exception):  # noqa: N818 - named for what happened to the body
    """An answer's body is larger than agreed, or packed."""


def bounded_body(response: httpcore2.Response, most_bytes: int) -> bytes:
    """The whole body, or BodyRefused. A packed one could be small here and huge once unpacked."""
    for name, value in response.headers:
        if name.lower() == b"content-encoding" and value.lower() != b"identity":
            raise BodyRefused("packed although asked not to be")
    body = b""
    assert isinstance(response.stream, Iterable)
    for chunk in response.stream:
        body += chunk
        if len(body) > most_bytes:
            raise BodyRefused(f"more than {most_bytes} bytes")
    return body


class Deadline(threading.local):
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
        left = self._deadline.left(httpcore2.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class DeadlineBackend(httpcore2.NetworkBackend):
    """Sockets under one deadline.

    `may_connect` judges the very addresses that are then connected to, so a name that answers differently
    the next time gains nothing.
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
        """Tries the addresses one after another within the deadline; the certificate is still the name's."""
        failure: httpcore2.ConnectError | None = None
        found = _addresses(host, port, self._deadline.left(httpcore2.ConnectTimeout))
        addresses = [address for address in found if self._may_connect(address)]
        if not addresses:
            raise httpcore2.ConnectError("no address of this name may be connected to")
        for tried, address in enumerate(addresses):
            # One silent address must leave time for the next.
            quota = self._deadline.left(httpcore2.ConnectTimeout) / (len(addresses) - tried)
            try:
                stream = self._sockets.connect_tcp(address, port, quota)
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
