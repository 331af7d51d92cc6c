"""Malformed requests that no HTTP library sends, over a socket to gunicorn."""

from __future__ import annotations

import socket

import pytest

from tests.support.servers import BrokerServer

HEAD = b"POST /auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def answer(broker: BrokerServer, request: bytes) -> str:
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall(request)
        client.settimeout(60)
        return b"".join(iter(lambda: client.recv(4096), b"")).decode()


def chunked(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def test_incomplete_body_gets_request_timeout(broker: BrokerServer) -> None:
    response = answer(broker, HEAD + b'Content-Length: 100\r\n\r\n{"user')
    assert response.startswith("HTTP/1.1 408 ")
    assert '"code": "request-timeout"' in response


def test_incomplete_headers_leave_no_log_line(broker: BrokerServer) -> None:
    before = len(broker.log)
    assert answer(broker, b"POST /token HTTP/1.1\r\nHost: x\r\nAuth") == ""
    assert "Traceback" not in broker.log[before:]


def test_chunked_body_is_read_completely_or_rejected(broker: BrokerServer) -> None:
    """If the body were cut at the limit, the first part could be valid and the rest would go unseen."""
    response = answer(broker, chunked(b"{}" + b" " * 8190, b'{"username": "mallory"}'))
    assert response.startswith("HTTP/1.1 413 ")
    response = answer(broker, chunked(b'{"username": "alice",', b' "password": "wrong"}'))
    assert response.startswith("HTTP/1.1 401 ")


@pytest.mark.parametrize("size", [b"zz", b"-2"])
def test_malformed_chunks_get_bad_request(broker: BrokerServer, size: bytes) -> None:
    response = answer(broker, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n{}\r\n0\r\n\r\n")
    assert response.startswith("HTTP/1.1 400 ")
    assert "Traceback" not in response
