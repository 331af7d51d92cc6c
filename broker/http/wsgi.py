"""Runs the Flask app for the event loop: one whole request in, one whole answer out.

A thread is taken only for a request that has arrived, and it ends with the answer in memory. So no client can
hold a thread by sending slowly or by not reading. An answer without a bound is made piece by piece, each in a
thread, when the client has read the one before.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from broker.errors import Code, Refusal
from broker.http.body import MAX_BYTES
from broker.http.draining import DRAIN
from broker.http.lanes import Busy, Lanes

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., object]], Iterable[bytes]]

BODY_SECONDS = 5.0
REFUSAL = "broker.refusal"
"""The key of the environ that names the code of a refusal which the server has decided on."""
RETRY_AFTER = "broker.retry_after"
"""The key of the environ with the seconds after which the client may try again, or None."""
RECEIVED = "broker.received"
"""The key of the environ with the time when the head had arrived, of `time.perf_counter`."""
STREAMS = "broker.streams"
"""The key of the environ by which a view says that its answer has no bound. Its pieces need no context."""
_NO_BODY = {204, 304}
# Origin form and absolute form (RFC 9112, section 3.2), without a fragment, user name or password.
_TARGET = re.compile(rb"(?:(?i:https?)://([^/@#]+))?(/[^#]*)?")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    rest: Iterator[bytes] | None = None
    """What follows `body`, if the answer streams. It must be closed."""


class FlaskRunner:
    """The ASGI app of a worker. It knows HTTP requests only."""

    def __init__(self, app: WsgiApp, threads: int, check_google: Callable[[], None]) -> None:
        """`check_google` raises if a call to Google would be refused at once."""
        self._app = app
        self._lanes = Lanes(threads, check_google)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = environ_of(scope)
        if REFUSAL in environ:
            body: _Body | None = _Body(is_whole=False, refusal=environ[REFUSAL])
        else:
            body = await _body(scope, receive)
        if body is None:
            return
        if body.refusal is not None:
            answer = await self.refuse(environ, Refusal(body.refusal))
        else:
            environ["wsgi.input"] = io.BytesIO(body.read)
            call = partial(self._call, environ, refused=bool(scope["came_too_late"]))
            try:
                answer = await self._lanes.run(
                    scope["method"], environ["PATH_INFO"], call, has_left=scope["has_left"]
                )
            except Busy:
                answer = await self.refuse(environ, Refusal("busy"))
            except Refusal as refusal:
                answer = await self.refuse(environ, refusal)
        if not body.is_whole or any(name.lower() == b"connection" for name, _ in answer.headers):
            scope["close_after_answer"]()
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if answer.rest is not None:
            await self._stream(scope, answer, send)
        else:
            await send({"type": "http.response.body", "body": answer.body})

    async def _stream(self, scope: Scope, answer: Answer, send: Send) -> None:
        """An exception on the way cuts the connection, so that no client takes a part for the whole."""
        rest = answer.rest
        assert rest is not None
        piece: bytes | None = answer.body
        try:
            while piece is not None:
                if piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if scope["has_left"]():
                    return
                piece = await self._lanes.resume(partial(next, rest, None))
        finally:
            getattr(rest, "close", lambda: None)()
        await send({"type": "http.response.body", "body": b""})

    async def refuse(self, environ: Environ, refusal: Refusal) -> Answer:
        """The app's answer for a request that the server refuses: the problem, its log line and metrics."""
        environ[REFUSAL] = refusal.code
        environ[RETRY_AFTER] = refusal.retry_after_seconds
        return await self._lanes.refuse(partial(self._call, environ, refused=False))

    def _call(self, environ: Environ, *, refused: bool) -> Answer:
        DRAIN.enter(refused=refused)
        started: list[tuple[str, list[tuple[str, str]]]] = []
        parts = self._app(environ, lambda status, headers, _=None: started.append((status, headers)))
        if STREAMS in environ:
            rest = iter(parts)
            return Answer(*_head(started), next(rest, b""), rest)
        try:
            body = b"".join(parts)
        finally:
            getattr(parts, "close", lambda: None)()
        number, encoded = _head(started)
        if number not in _NO_BODY and not any(name.lower() == b"content-length" for name, _ in encoded):
            encoded.append((b"Content-Length", b"%d" % len(body)))
        return Answer(number, encoded, body)


def _head(started: list[tuple[str, list[tuple[str, str]]]]) -> tuple[int, list[tuple[bytes, bytes]]]:
    status, headers = started[-1]
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return int(status.split(" ", 1)[0]), encoded


def environ_of(scope: Scope) -> Environ:
    """The WSGI environ, without a body. It has `REFUSAL` if the head is ambiguous."""
    host, port = _address(scope.get("server")) or ("localhost", 80)
    client = _address(scope.get("client")) or ("", "")
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        RECEIVED: time.perf_counter(),
        **_headers(scope["headers"]),
    }
    path, authority = _target(scope)
    environ["PATH_INFO"] = _decoded(path or b"/-")  # no route
    # RFC 9112, section 3.2.2: the target decides, so a Host header that differs was meant for another server.
    names_two_hosts = authority and environ.setdefault("HTTP_HOST", authority).lower() != authority.lower()
    # The parser lets `gzip, chunked` through, and leaves the body compressed.
    coding = environ.get("HTTP_TRANSFER_ENCODING", "chunked")
    if path is None or names_two_hosts or coding.lower() != "chunked":
        environ[REFUSAL] = "bad-request"
    return environ


def _target(scope: Scope) -> tuple[bytes | None, str | None]:
    """(path, host). The path is None if the target is malformed. Only the absolute form names a host."""
    target: bytes = scope["raw_path"]
    if target == b"*":
        return target, None
    match = _TARGET.fullmatch(target)
    if match is None or b"#" in scope["query_string"]:
        return None, None
    authority = match[1].decode("latin-1") if match[1] else None
    return match[2] or (b"/" if authority else None), authority


def _decoded(path: bytes) -> str:
    """The path in WSGI's encoding. `//token` stays different from `/token`.

    Werkzeug would drop the first slash, and the request would bypass the rules of a proxy and its own lane.
    """
    decoded = unquote_to_bytes(path).decode("latin-1")
    return f"/.{decoded}" if decoded.startswith("//") else decoded


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> Environ:
    """Skips names with an underscore: in an environ, `X_Forwarded_For` equals `X-Forwarded-For`."""
    environ: Environ = {}
    for name, value in headers:
        if b"_" in name:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
        text = value.decode("latin-1")
        separator = "; " if key == "HTTP_COOKIE" else ", "
        environ[key] = f"{environ[key]}{separator}{text}" if key in environ else text
    return environ


def _address(address: object) -> tuple[str, int] | None:
    """None for a Unix socket, whose path gunicorn takes apart as if it were a pair."""
    if isinstance(address, tuple) and len(address) == 2 and isinstance(address[1], int):
        return str(address[0]), address[1]
    return None


@dataclass(frozen=True)
class _Body:
    read: bytes = b""
    is_whole: bool = True
    refusal: Code | None = None


async def _body(scope: Scope, receive: Receive) -> _Body | None:
    """None if the client has gone. A body that is too large is cut one byte above the limit."""
    announced = dict(scope["headers"]).get(b"content-length", b"")
    if announced.isdigit() and int(announced) > MAX_BYTES:
        return _Body(is_whole=False)
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(read) <= MAX_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                read += message["body"]
                if not message["more_body"]:
                    return _Body(bytes(read[: MAX_BYTES + 1]))
    except TimeoutError:
        return _Body(is_whole=False, refusal="request-timeout")
    return _Body(bytes(read[: MAX_BYTES + 1]), is_whole=False)
