"""A client that stops in mid-request is told so and gives its thread back."""

from __future__ import annotations

import socket

from tests.support.servers import BrokerServer

HALF = (
    b"POST /auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 100\r\n\r\n{"user'
)


def test_half_a_body_is_a_request_timeout(broker: BrokerServer) -> None:
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall(HALF)
        client.settimeout(60)
        answer = b"".join(iter(lambda: client.recv(4096), b"")).decode()
    assert answer.startswith("HTTP/1.1 408 ")
    assert '"code": "request-timeout"' in answer
