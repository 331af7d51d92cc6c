"""Upstream: a tiny HTTP server on real sockets that misbehaves on request.

The stand-in plays a healthy Google. This server plays network faults and outages. A `Behaviour` answers one
mint on its connection; the models list always answers.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

NAME = "auth_tokens/0123456789abcdef"
Behaviour = Callable[["Exchange"], None]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Exchange:
    """One request and the connection that answers it."""

    connection: socket.socket
    closing: threading.Event
    seen: Seen

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, status: int, body: bytes, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Because", f"Content-Length: {len(body)}", *headers]
        if not any(line.lower().startswith("content-type") for line in headers):
            lines.append("Content-Type: application/json")
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def wait(self, seconds: float) -> bool:
        """Returns true when the test is over."""
        return self.closing.wait(seconds)


def token(exchange: Exchange) -> None:
    exchange.answer(200, json.dumps({"name": NAME}).encode())


def text(body: str | bytes, status: int = 200, *headers: str) -> Behaviour:
    data = body.encode() if isinstance(body, str) else body
    return lambda exchange: exchange.answer(status, data, *headers)


def hang(exchange: Exchange) -> None:
    exchange.wait(60)


def drip_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(exchange)


def drip_body(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    _drip(exchange)


def _drip(exchange: Exchange) -> None:
    """One byte every 50 ms: no single read waits long, but the whole body takes minutes."""
    while not exchange.wait(0.05):
        exchange.send(b" ")


def flood(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4096):
        exchange.send(b"10000\r\n" + b" " * 65536 + b"\r\n")


def reset(exchange: Exchange) -> None:
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut_short(exchange: Exchange) -> None:
    exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"name":')


def no_http(exchange: Exchange) -> None:
    exchange.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def leave(exchange: Exchange) -> None:
    """Closes the connection without an answer."""


@dataclass
class Upstream:
    behaviour: Behaviour = token
    models: dict[str, Behaviour] = field(default_factory=dict)
    """Last part of the path of a model -> its behaviour. Other models are offered."""
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self.closing = threading.Event()
        self._listener = socket.create_server((self.host, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if self.tls else ''}://{self.host}:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def mints(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "POST"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._listener.close()
        # A blocked accept() survives the close of its socket. One more connection ends it.
        with suppress(OSError):
            socket.create_connection((self.host, self.port), 0.2).close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        if self.tls:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
        self._open.append(connection)
        with connection, connection.makefile("rb") as stream:
            try:
                while not self.closing.is_set() and (seen := _read(stream)):
                    self.seen.append(seen)
                    exchange = Exchange(connection, self.closing, seen)
                    behaviour = self._behaviour(seen)
                    behaviour(exchange)
                    if behaviour in (reset, leave, cut_short, no_http, flood):
                        return
            except OSError:
                return  # the client gave up, as most tests expect

    def _behaviour(self, seen: Seen) -> Behaviour:
        if seen.method == "POST":
            return self.behaviour
        offered = text('{"name":"models/x","supportedGenerationMethods":["bidiGenerateContent"]}')
        return self.models.get(seen.path.rpartition("/")[2], offered)


def _read(stream: Any) -> Seen | None:
    first = stream.readline().decode().split(" ")
    if len(first) < 3:
        return None
    headers: dict[str, str] = {}
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Seen(first[0], first[1], headers, json.loads(body) if body else None)
