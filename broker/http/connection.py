"""One client's connection: gunicorn's HTTP/1.1 with our deadlines and our errors.

gunicorn frames requests and responses. This class adds what it lacks: a deadline for the request line and the
headers, one for a client that does not read, a close that does not cut off the answer, and errors of the
parser as the broker's own problems, made by the app.
"""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Protocol

from gunicorn.asgi.protocol import ASGIProtocol

from broker.errors import Code, Refusal
from broker.http.draining import DRAIN
from broker.http.wsgi import Answer, FlaskRunner, environ_of

# 8 KB for a bearer, as much for cookies, and room for what proxies add.
MAX_HEAD_BYTES = 48 * 1024
STALLED_SECONDS = 10.0
LEAST_READ_BYTES = 4096
"""While an answer waits for it, a client that reads less in `STALLED_SECONDS` loses the connection."""
LINGER_SECONDS = 2.0
"""How long a client may take to close its side. Until then, what it still sends is discarded."""
_MOST_UNSENT = 64 * 1024
_MAX_DISCARDED = 1024 * 1024
_REST_SECONDS = 1.0
_REST = re.compile(rb"(?im)^(origin|x-request-id):[ \t]*([^\r\n]*?)[ \t]*\r$")
_CODE_OF_STATUS: dict[int, Code] = {
    413: "too-large",
    414: "too-large",
    431: "too-large",
    500: "internal",
}


class Worker(Protocol):
    """The worker as a connection sees it."""

    loop: asyncio.AbstractEventLoop
    asgi: FlaskRunner
    connections: dict[Connection, None]

    def add(self, connection: Connection) -> None: ...


class Connection(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types
    worker: Worker
    _closed: bool

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._head_bytes = 0
        self._discarded = 0
        self._has_ended = False
        self._is_last_answer = False
        self._stall: asyncio.TimerHandle | None = None
        self._came_too_late = False
        self._fault: asyncio.Task[None] | None = None
        self._rest = bytearray()
        self._rest_is_here = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.worker.add(self)
        _limit_unsent(transport)
        self._arm_keepalive_timer()  # a silent client is no better than an idle one

    def connection_lost(self, exc: Exception | None) -> None:
        self.worker.connections.pop(self, None)
        if self._stall:
            self._stall.cancel()
        super().connection_lost(exc)

    # Arriving

    def data_received(self, data: bytes) -> None:
        if self._closed or self._fault:
            self._discard(data)
            return
        if self._current_request is None:
            if self._head_bytes == 0:
                self._arm_keepalive_timer()  # from its first byte, a head has the whole time
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._rest += data
                self._send_error_response(431, "")
                self._close_transport()
                return
        try:
            super().data_received(data)
        except ValueError:  # a Content-Length with more digits than int() accepts
            self._send_error_response(400, "")
            self._close_transport()

    def eof_received(self) -> bool:
        """Keeps the connection of a client that has sent its request and closed its side."""
        self._has_ended = True
        receiver = self._body_receiver
        return not (self._closed or self._is_ssl) and receiver is not None and receiver._complete

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        if self._is_last_answer or self._has_ended or DRAIN.refuses:
            return True
        return bool(super()._will_close(request, response_requires_close))

    def _on_headers_complete(self) -> Any:
        self._head_bytes = 0
        self._came_too_late = DRAIN.refuses and self.req_count > 1
        return super()._on_headers_complete()

    def _build_http_scope(self, request: Any, sockname: Any, peername: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._build_http_scope(request, sockname, peername)
        ended_with_the_request = self._has_ended  # and waits for the answer
        return {
            **scope,
            "came_too_late": self._came_too_late,
            "has_left": lambda: self._has_ended and not ended_with_the_request,
            "close_after_answer": self._close_after_answer,
        }

    def _close_after_answer(self) -> None:
        self._is_last_answer = True

    def _is_websocket_upgrade(self, _request: Any) -> bool:
        return False

    @property
    def is_idle(self) -> bool:
        return bool(self._awaiting_request) and not self._closed

    def end_soon(self) -> None:
        """Gives a client the time to have its kept connection refused instead of cut."""
        self._keepalive = LINGER_SECONDS
        if self.is_idle:
            self._arm_keepalive_timer()

    # Leaving

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        if self._stall:
            self._stall.cancel()
        super().resume_writing()

    def _watch(self, waiting: int) -> None:
        def look() -> None:
            now = self.transport.get_write_buffer_size()
            if now + LEAST_READ_BYTES > waiting:
                self.transport.abort()
            else:
                self._watch(now)

        self._stall = self.worker.loop.call_later(STALLED_SECONDS, look)

    def _close_transport(self) -> None:
        if self._closed or self.transport is None:
            return
        self._closed = True
        if self._fault is None:
            self._linger()

    def _linger(self) -> None:
        """Closes our side. A full close resets the connection if the client has sent more than was read."""
        transport = self.transport
        if transport.is_closing():
            return
        if self._has_ended or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self._resume_reading()
        if not transport.get_write_buffer_size():
            self.worker.loop.call_later(LINGER_SECONDS, transport.abort)
        elif self._stall is None or self._stall.cancelled():
            self._watch(transport.get_write_buffer_size())

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > _MAX_DISCARDED:
            self.transport.abort()
        if self._fault and len(self._rest) < MAX_HEAD_BYTES:
            self._rest += data
            if b"\r\n\r\n" in self._rest:
                self._rest_is_here.set()

    # Errors

    def _send_error_response(self, status: int, _message: str, _extra_headers: Any = ()) -> None:
        """gunicorn's own errors: the app makes the answer. The message may quote the client: unused."""
        if self._fault or self._conn_lost_handled or self.transport.is_closing():
            return
        if self._body_receiver is not None:
            self._body_receiver.signal_disconnect()  # the request is not served as well
        code = _CODE_OF_STATUS.get(status, "bad-request")
        self._fault = self.worker.loop.create_task(self._answer_fault(code))

    async def _answer_fault(self, code: Code) -> None:
        peername = self.transport.get_extra_info("peername")
        sockname = self.transport.get_extra_info("sockname")
        if self._current_request is not None:
            scope = self._build_http_scope(self._current_request, sockname, peername)
        else:
            if code == "too-large":
                await self._rest_of_the_head()
            scope = {**_UNREAD, "headers": self._readable_headers()}
        try:
            answer = await self.worker.asgi.refuse(environ_of(scope), Refusal(code))
            self._safe_write(_serialized(answer, with_body=scope["method"] != "HEAD"))
        finally:
            self._closed = True
            self._linger()

    async def _rest_of_the_head(self) -> None:
        """A page cannot read an answer without CORS headers, and its Origin may come after the limit."""
        if b"\r\n\r\n" not in self._callback_parser._buffer + self._rest and not self._has_ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(_REST_SECONDS):
                    await self._rest_is_here.wait()

    def _readable_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that the answer needs, of a head that could not be parsed."""
        parser = self._callback_parser
        self._rest[:0] = parser._buffer
        lines = {name.lower(): value for name, value in _REST.findall(b"\n" + bytes(self._rest))}
        wanted = {name: value for name, value in parser._headers_list if name in {b"origin", b"x-request-id"}}
        return list({**lines, **wanted}.items())


def _limit_unsent(transport: asyncio.Transport) -> None:
    """Limits the unsent bytes in the kernel, which would buffer megabytes for a client that does not read.

    Bytes in flight are not limited, so clients that read are not slowed down.
    """
    client = transport.get_extra_info("socket")
    if client.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)


_UNREAD: dict[str, Any] = {
    "method": "GET",
    "raw_path": b"/-",  # no route
    "query_string": b"",
    "http_version": "1.1",
    "scheme": "http",
}


def _serialized(answer: Answer, *, with_body: bool) -> bytes:
    head = [b"HTTP/1.1 %d %s" % (answer.status, HTTPStatus(answer.status).phrase.encode())]
    head += [b"%s: %s" % header for header in answer.headers if header[0].lower() != b"connection"]
    return b"\r\n".join([*head, b"Connection: close", b"", answer.body if with_body else b""])
