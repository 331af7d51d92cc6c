"""Clients that hold a server's sockets: by silence, by stalled bodies, by not reading, by not closing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Open = Callable[[int], socket.socket]

_STALLED_BODY = (
    b"POST /auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"user'
)
_PAGE = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_LAST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def silent(port: int) -> socket.socket:
    """Connects and sends nothing."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def half_a_head(port: int) -> socket.socket:
    return _sends(port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half")


def stalled_body(port: int) -> socket.socket:
    """Announces 100 bytes and sends six."""
    return _sends(port, _STALLED_BODY)


def never_reads(port: int) -> socket.socket:
    """Asks for megabytes, with a small receive buffer that it never empties."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    client.sendall(_PAGE * 100)
    return client


def never_closes(port: int) -> socket.socket:
    """Asks for the last answer of the connection, and keeps its side open."""
    return _sends(port, _LAST)


@contextmanager
def held(port: int, **counts: int) -> Iterator[list[socket.socket]]:
    """Holds that many clients of each kind, all at once: `held(port, silent=400, never_reads=90)`."""
    kinds: dict[str, Open] = {
        "silent": silent,
        "half_a_head": half_a_head,
        "stalled_body": stalled_body,
        "never_reads": never_reads,
        "never_closes": never_closes,
    }
    with ExitStack() as stack:
        yield [stack.enter_context(kinds[kind](port)) for kind, count in counts.items() for _ in range(count)]


def _sends(port: int, request: bytes) -> socket.socket:
    client = silent(port)
    client.sendall(request)
    return client
