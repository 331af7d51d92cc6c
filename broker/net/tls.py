"""TLS over a plain stream, so that plain text in place of TLS is an error at once. A leaf.

A TLS library reads on until a record is complete. So a few bytes of plain text, in place of an answer, would
look like a slow server until the deadline.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import httpcore2

T = TypeVar("T")

# The types of the records that can answer our first one: alert and handshake.
_FIRST_RECORDS = (0x15, 0x16)
_CHUNK_BYTES = 65_536


class TlsStream(httpcore2.NetworkStream):
    """`plain` limits the time of each operation; the timeouts that callers pass are ignored."""

    def __init__(
        self, plain: httpcore2.NetworkStream, context: ssl.SSLContext, server_hostname: str | None
    ) -> None:
        """Makes the handshake. Raises ConnectTimeout or ConnectError."""
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._is_checked = False
        try:
            self._run(self._tls.do_handshake)
        except httpcore2.TimeoutException as error:
            plain.close()
            raise httpcore2.ConnectTimeout(str(error)) from error
        except (ssl.SSLError, httpcore2.NetworkError) as error:
            plain.close()
            raise httpcore2.ConnectError(str(error)) from error

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - see the class
        try:
            return self._run(lambda: self._tls.read(max_bytes))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""  # HTTP itself knows whether the answer is complete
        except ssl.SSLError as error:
            raise httpcore2.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - see the class
        left = memoryview(buffer)
        try:
            while left:
                left = left[self._run(lambda part=left: self._tls.write(part)) :]  # type: ignore[misc]
        except ssl.SSLError as error:
            raise httpcore2.WriteError(str(error)) from error

    def close(self) -> None:
        self._plain.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._tls
        if info == "is_readable" and self._incoming.pending:
            return True
        return self._plain.get_extra_info(info)

    def _run(self, operation: Callable[[], T]) -> T:
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._send()
                self._receive()
            except ssl.SSLError:
                self._send()  # the alert that tells the server why
                raise
            else:
                self._send()
                return result

    def _send(self) -> None:
        if data := self._outgoing.read():
            self._plain.write(data)

    def _receive(self) -> None:
        data = self._plain.read(_CHUNK_BYTES)
        if not data:
            self._incoming.write_eof()
            return
        if not self._is_checked and data[0] not in _FIRST_RECORDS:
            raise httpcore2.ConnectError("the answer is not TLS")
        self._is_checked = True
        self._incoming.write(data)
