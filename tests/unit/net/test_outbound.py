"""Outgoing connections:

one total deadline, a size limit for bodies, and only the addresses that are allowed.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpcore2
import pytest

from broker.net.outbound import BodyRefused, Deadline, DeadlineBackend, bounded_body

SECONDS = 0.3


@contextmanager
def server(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """Accepts one connection on loopback and passes it to `answer`. Returns the port."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    answer(connection, done)
                except OSError:
                    return  # the client closed first

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        done.set()
        thread.join(5)


def get(port: int, *, host: str = "127.0.0.1", max_bytes: int = 1000, **more: Callable[[str], bool]) -> bytes:
    deadline = Deadline()
    deadline.start(SECONDS)
    backend = DeadlineBackend(deadline, **more)
    with (
        httpcore2.ConnectionPool(network_backend=backend, retries=0) as pool,
        pool.stream("GET", f"http://{host}:{port}/") as response,
    ):
        return bounded_body(response, max_bytes)


def body(content: bytes, *headers: str) -> Callable[[socket.socket, threading.Event], None]:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(content)}", *headers, "", ""]
    return lambda connection, _done: connection.sendall("\r\n".join(lines).encode() + content)


def silence(_connection: socket.socket, done: threading.Event) -> None:
    done.wait(10)


def slow_body(connection: socket.socket, done: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    while not done.wait(0.02):
        connection.sendall(b" ")


def test_body_within_the_limit_is_returned() -> None:
    with server(body(b"x" * 1000)) as port:
        assert get(port) == b"x" * 1000


def test_larger_body_is_refused() -> None:
    with server(body(b"x" * 1001)) as port, pytest.raises(BodyRefused, match="more than 1000 bytes"):
        get(port)


def test_compressed_body_is_refused() -> None:
    with server(body(b"x", "Content-Encoding: gzip")) as port, pytest.raises(BodyRefused, match="compressed"):
        get(port)


@pytest.mark.parametrize("answer", [silence, slow_body])
def test_deadline_covers_the_whole_answer(answer: Callable[[socket.socket, threading.Event], None]) -> None:
    """A timeout for each read would never fire while the slow body sends a byte every 20 ms."""
    started = time.monotonic()
    with server(answer) as port, pytest.raises(httpcore2.ReadTimeout):
        get(port)
    assert SECONDS <= time.monotonic() - started < 5


def test_deadline_covers_the_name_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: [][: released.wait(10)])
    try:
        with pytest.raises(httpcore2.ConnectTimeout, match="name lookup"):
            get(1, host="slow.example")
    finally:
        released.set()


def test_expired_deadline_raises_the_timeout_of_the_operation() -> None:
    deadline = Deadline()
    deadline.start(-1)
    for timeout in (httpcore2.ConnectTimeout, httpcore2.ReadTimeout, httpcore2.WriteTimeout):
        with pytest.raises(timeout):
            deadline.left(timeout)


def test_each_thread_has_its_own_deadline() -> None:
    deadline = Deadline()
    deadline.start(60)
    seen: list[float] = []
    thread = threading.Thread(target=lambda: seen.append(deadline.at))
    thread.start()
    thread.join(5)
    assert seen == [0.0]


def test_forbidden_address_is_never_connected_to() -> None:
    with server(body(b"x")) as port:
        with pytest.raises(httpcore2.ConnectError, match="forbidden"):
            get(port, may_connect=lambda _address: False)
        assert get(port) == b"x", "the server still waits for its first connection"


def test_second_address_of_a_name_is_used_if_the_first_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 0)) for last in (2, 1)]
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **more: rows if host == "two.example" else resolve(host, *args, **more),
    )
    with server(body(b"x")) as port:
        assert get(port, host="two.example", may_connect=lambda address: address == "127.0.0.1") == b"x"
