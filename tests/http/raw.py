"""Requests as bytes, and the answers to them: for tests that send what no HTTP library sends."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass

CANARY = "canary-7f3a"
APP = "https://app.example"
HOST = b"Host: 127.0.0.1\r\n"
CLOSE = b"Connection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
AGENT = f"User-Agent: {CANARY}\r\nOrigin: {APP}\r\n".encode()
BEARER = b"Authorization: Bearer {alice}\r\n"
"""The test puts alice's bearer in the place of `{alice}`."""
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + AGENT
ME = b"GET /me HTTP/1.1\r\n" + HOST + AGENT + BEARER
TOKEN = b"POST /token HTTP/1.1\r\n" + HOST + AGENT + BEARER
NEXT = b"GET /smuggled HTTP/1.1\r\n" + HOST + AGENT + CLOSE + b"\r\n"
"""Follows a request whose end is in doubt. Nobody may get an answer to it."""

Table = Mapping[str, tuple[bytes, str]]
"""Name -> the request, and the answers to it: `400 bad-request`, or `200, 404 not-found` for two requests."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def words(self) -> str:
        """The status and, for a problem, its code."""
        if self.status < 400 or not self.body:
            return str(self.status)
        return f"{self.status} {json.loads(self.body)['code']}"


def exchange(port: int, request: bytes, *, half_close: bool = False) -> bytes:
    """Sends the request and reads until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(request)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        return read(client)


def read(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def answers(received: bytes, *, to_head: bool = False) -> list[Answer]:
    """Takes every byte that was received. Checks that each error is a problem of ours."""
    found = []
    while received:
        head, separator, received = received.partition(b"\r\n\r\n")
        assert separator, head
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        assert len(headers) == len(fields), fields
        length = 0 if to_head else int(headers["content-length"])
        assert line.startswith(("HTTP/1.1 ", "HTTP/1.0 "))
        answer = Answer(int(line.split(" ")[1]), headers, received[:length])
        assert len(answer.body) == length
        received = received[length:]
        found.append(answer)
        if answer.status >= 400:
            _check_problem(answer)
    return found


def _check_problem(answer: Answer) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    if answer.body:
        problem = json.loads(answer.body)
        assert problem["status"] == answer.status
        assert problem["request_id"] == answer.headers["x-request-id"]
