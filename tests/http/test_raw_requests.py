"""Requests that no HTTP library sends, over a socket to gunicorn: oversized, slow, in pieces, unusual."""

from __future__ import annotations

import json
import re
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.ports import free_port
from tests.support.servers import BrokerServer

APP = "https://app.example"
HEAD = b"POST /auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CLOSE = b"Connection: close\r\n\r\n"
ORIGIN = b"Origin: " + APP.encode() + b"\r\n"


@pytest.fixture(scope="module")
def other_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def unix_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unix") / "s"


@pytest.fixture(scope="module")
def broker(standin: StandIn, make_broker: MakeBroker, other_port: int, unix_path: Path) -> BrokerServer:
    """It also listens on IPv6 and on a Unix socket."""
    port = free_port()
    binds = f"--bind 127.0.0.1:{port} --bind [::1]:{other_port} --bind unix:{unix_path}"
    env = {"BROKER_ALLOWED_ORIGINS": APP, "BROKER_TRUSTED_HOSTS": "", "GUNICORN_CMD_ARGS": binds}
    server = make_broker(standin.url, workers=1, threads=4, env=env, port=port)
    server.add_user("alice")
    return server


def answer(broker: BrokerServer, request: bytes, *, half_close: bool = False) -> str:
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        return exchange(client, request, half_close=half_close)


def exchange(client: socket.socket, request: bytes, *, half_close: bool = False) -> str:
    client.settimeout(60)
    client.sendall(request)
    if half_close:
        client.shutdown(socket.SHUT_WR)
    return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def problem(response: str) -> tuple[int, str]:
    """Checks that the answer is one of our problems, for `APP` too, and returns its status and code."""
    head, _, body = response.partition("\r\n\r\n")
    assert "content-type: application/problem+json" in head.lower(), response
    fields = json.loads(body)
    assert f"X-Request-Id: {fields['request_id']}" in head
    assert f"Access-Control-Allow-Origin: {APP}" in head
    assert head.lower().count("connection: close") == 1
    assert head.startswith(f"HTTP/1.1 {fields['status']} ")
    return fields["status"], fields["code"]


def chunked(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def test_incomplete_requests_end_in_time(broker: BrokerServer) -> None:
    """An incomplete body gets an answer. Incomplete headers get none, and leave no log line."""
    starts = [
        HEAD + ORIGIN + b'Content-Length: 100\r\n\r\n{"user',
        HEAD + ORIGIN + b'Transfer-Encoding: chunked\r\n\r\n6\r\n{"user\r\n',
        b"POST /token HTTP/1.1\r\nHost: x\r\nAuth",
        b"",
    ]
    before = len(broker.log)
    with ThreadPoolExecutor() as threads:
        length, chunks, headers, silence = threads.map(lambda start: answer(broker, start), starts)
    assert problem(length) == problem(chunks) == (408, "request-timeout")
    assert headers == silence == ""
    assert "Traceback" not in broker.log[before:]
    lines = broker.log[before:].count('"event": "request"')
    assert 1 <= lines <= 2, "two refusals by one worker share a line"


def test_chunked_body_is_read_completely_or_rejected(broker: BrokerServer) -> None:
    """If the body were cut at the limit, the first part could be valid and the rest would go unseen."""
    response = answer(broker, chunked(b"{}" + b" " * 8190, b'{"username": "mallory"}'))
    assert response.startswith("HTTP/1.1 413 ")
    response = answer(broker, chunked(b'{"username": "alice",', b' "password": "wrong"}'))
    assert response.startswith("HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + ORIGIN,
        GET + b"Authorization: Bearer " + b"a" * 17000 + b"\r\n" + ORIGIN,
        GET + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 9000) for n in range(10)) + ORIGIN,
        GET + b"".join(b"X-%d: a\r\n" % n for n in range(60)) + ORIGIN,
    ],
    ids=["line", "field", "all", "count"],
)
def test_oversized_heads_are_problems_for_browsers_too(broker: BrokerServer, request_head: bytes) -> None:
    """The Origin comes after the limit, and the answer is not lost with a reset connection."""
    assert problem(answer(broker, request_head + b"\r\n" + b"b" * 100_000)) == (413, "too-large")


def test_origin_that_arrives_late_is_waited_for(broker: BrokerServer) -> None:
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall(GET + b"Authorization: Bearer " + b"a" * 17000)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert problem(exchange(client, b"\r\n" + ORIGIN + b"\r\n")) == (413, "too-large")


def test_large_body_is_refused_without_reading_it(broker: BrokerServer) -> None:
    request = HEAD + ORIGIN + b"Content-Length: 500000\r\n\r\n" + b"a" * 500_000
    assert problem(answer(broker, request)) == (413, "too-large")


def test_expectation_is_met_or_refused(broker: BrokerServer) -> None:
    head = HEAD + b"Expect: 100-continue\r\nConnection: close\r\n"
    body = b'{"username": "alice", "password": "wrong"}'
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert exchange(client, body).startswith("HTTP/1.1 401 ")
    assert answer(broker, head + b"Content-Length: 9000\r\n\r\n").startswith("HTTP/1.1 413 ")


def test_http_1_0_and_head_and_absolute_form(broker: BrokerServer) -> None:
    assert answer(broker, b"GET /healthz HTTP/1.0\r\n\r\n").endswith('{"status":"ok"}\n')
    head = answer(broker, GET.replace(b"GET", b"HEAD") + CLOSE)
    assert re.search(r"(?i)content-length: 16\r\n", head)
    assert head.endswith("\r\n\r\n")
    absolute = GET.replace(b"/healthz", b"http://127.0.0.1/healthz") + CLOSE
    assert answer(broker, absolute).startswith("HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(broker: BrokerServer) -> None:
    missing = GET.replace(b"/healthz", b"/nothing")
    response = answer(broker, GET + b"\r\n" + missing + b"\r\n" + GET + CLOSE)
    assert re.findall(r"HTTP/1.1 (\d+) ", response) == ["200", "404", "200"]


def test_pipelined_requests_of_a_client_that_does_not_read(broker: BrokerServer) -> None:
    """All are answered, in order, once it reads. Others are served meanwhile."""
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall((GET + b"\r\n" + GET.replace(b"/healthz", b"/nothing") + b"\r\n") * 50)
        assert answer(broker, GET + CLOSE).startswith("HTTP/1.1 200 ")
        response = exchange(client, GET + CLOSE)
    assert re.findall(r"HTTP/1.1 (\d+) ", response) == ["200", "404"] * 50 + ["200"]


def test_request_may_arrive_byte_by_byte(broker: BrokerServer) -> None:
    request = chunked(b'{"username": "alice",', b' "password": "wrong"}')
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(len(request) - 1):
            client.sendall(request[n : n + 1])
        assert exchange(client, request[-1:]).startswith("HTTP/1.1 401 ")


@pytest.mark.parametrize("end", range(20, 260, 30))
def test_reset_in_the_middle_of_a_request_leaves_nothing(broker: BrokerServer, end: int) -> None:
    before = len(broker.log)
    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall((HEAD + b"Content-Length: 90\r\n\r\n" + b" " * 89)[:end])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert answer(broker, GET + CLOSE).startswith("HTTP/1.1 200 ")
    assert broker.log[before:].count('"event"') == 1  # the last request


def test_client_that_closes_its_side_gets_its_answer(broker: BrokerServer) -> None:
    assert answer(broker, GET + b"\r\n", half_close=True).startswith("HTTP/1.1 200 ")
    incomplete = HEAD + b"Content-Length: 100\r\n\r\n{}"
    assert answer(broker, incomplete, half_close=True) == ""


def test_upgrade_goes_to_the_app_which_refuses_it(broker: BrokerServer) -> None:
    upgrade = (
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + b"a" * 22 + b"==\r\n"
    )
    response = answer(broker, GET + ORIGIN + upgrade + b"Connection: Upgrade, close\r\n\r\n")
    assert response.startswith("HTTP/1.1 400 ")
    assert '"code": "bad-request"' in response


def test_ipv6_and_unix_sockets_are_served(broker: BrokerServer, other_port: int, unix_path: Path) -> None:
    login = b'{"username": "alice", "password": "wrong"}'
    request = HEAD + b"Content-Length: %d\r\n" % len(login) + CLOSE + login
    with socket.create_connection(("::1", other_port)) as client:
        assert exchange(client, request).startswith("HTTP/1.1 401 ")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(unix_path))
        assert exchange(client, request).startswith("HTTP/1.1 401 ")
