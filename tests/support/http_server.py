"""HttpServer: a threaded HTTP server on loopback, whose answers a test writes in Python.

Owns the socket, the threads, and slow answers: `delay_seconds` before one, `drip_seconds` between its bytes.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

Answer = tuple[int, dict[str, str], bytes]  # status, headers, body


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


class HttpServer:
    """Use as a context manager. Subclasses write `answer_to`. `asked` lists the path of every request."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.delay_seconds = self.drip_seconds = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def answer_to(self, request: Request) -> Answer:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(server: HttpServer) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                time.sleep(server.delay_seconds)
                answer = server.answer_to(Request(self.command, self.path, dict(self.headers), body))
                with suppress(OSError):  # the client has hung up
                    self._send(*answer)

            def do_POST(self) -> None:
                self.do_GET()

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if not server.drip_seconds:
                    self.wfile.write(body)
                    return
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(server.drip_seconds)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler
