"""Google fails in every way: each has one code, costs nothing, and does not touch readiness."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.faults.caller import DEADLINE_SECONDS, Caller
from tests.support import upstream as fault
from tests.support.tcp_proxy import TcpProxy
from tests.support.upstream import Behaviour, Upstream, text

ERROR, REJECTED = (502, "upstream-error"), (502, "upstream-rejected")
TIMEOUT, QUOTA = (504, "upstream-timeout"), (503, "upstream-quota")


def status(number: int, word: str = "UNKNOWN", *headers: str, **error: object) -> Behaviour:
    body = {"error": {"code": number, "status": word, "message": "canary", **error}}
    return text(json.dumps(body), number, *headers)


ASKED_TO_WAIT = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}
FAULTS: dict[str, tuple[Behaviour, tuple[int, str]]] = {
    **{f"HTTP {n}": (status(n), REJECTED) for n in (400, 401, 402, 403, 404, 405, 409, 410, 411, 413, 415)},
    **{f"HTTP {n}": (status(n), REJECTED) for n in (416, 418, 422, 451, 499)},
    "HTTP 408": (status(408), TIMEOUT),
    "HTTP 429 without a delay": (status(429, "RESOURCE_EXHAUSTED"), QUOTA),
    "HTTP 429 with a delay": (status(429, "RESOURCE_EXHAUSTED", details=[ASKED_TO_WAIT]), QUOTA),
    "HTTP 429 with Retry-After": (text("", 429, "Retry-After: 1"), QUOTA),
    **{f"HTTP {n}": (status(n), ERROR) for n in (500, 501, 502, 503, 505, 507, 511, 599)},
    "HTTP 504": (status(504), TIMEOUT),
    **{f"redirect {n}": (text("", n, "Location: https://example.com/"), ERROR) for n in (301, 302, 307, 308)},
    "HTTP 204": (text("", 204), ERROR),
    "empty": (text(""), ERROR),
    "{}": (text("{}"), ERROR),
    "[]": (text("[]"), ERROR),
    "null": (text("null"), ERROR),
    "a page": (text("<html>canary</html>", 200, "Content-Type: text/html"), ERROR),
    "another field": (text('{"token":"auth_tokens/0123456789abcdef"}'), ERROR),
    "another type": (text('{"name":["auth_tokens/0123456789abcdef"]}'), ERROR),
    "not UTF-8": (text(b"\xff\xfe"), ERROR),
    "deep": (text("[" * 60_000), ERROR),
    "huge": (fault.flood, ERROR),
    "compressed": (text(b"\x1f\x8b\x08\x00", 200, "Content-Encoding: gzip"), ERROR),
    "cut short": (fault.cut_short, ERROR),
    "reset": (fault.reset, ERROR),
    "closed": (fault.leave, ERROR),
    "another protocol": (fault.no_http, ERROR),
}


@pytest.fixture(scope="module")
def google() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def caller(google: Upstream, make_broker: MakeBroker) -> Caller:
    return Caller(make_broker(google.url, workers=1), "alice")


@pytest.mark.parametrize("name", FAULTS)
def test_fault_has_its_code_and_costs_nothing(google: Upstream, caller: Caller, name: str) -> None:
    behaviour, answer = FAULTS[name]
    google.behaviour, before = behaviour, len(google.mints)
    try:
        seen = caller.mint()
        assert seen.answer == answer
        assert len(google.mints) == before + 1, "asked once"
        assert (seen.retry_after is not None) == (seen.status == 503)
        assert caller.ready() == 200
    finally:
        google.behaviour = fault.token
    if seen.retry_after == 1:
        time.sleep(1)
    assert caller.mint().answer == (200, "ok")
    caller.check_charged()


def test_delay_that_google_asks_for_is_the_callers(google: Upstream, caller: Caller) -> None:
    google.behaviour = FAULTS["HTTP 429 with a delay"][0]
    assert caller.mint().retry_after == 1
    google.behaviour, before = fault.token, len(google.mints)
    assert caller.mint().answer == QUOTA
    assert len(google.mints) == before, "not asked before the delay is over"
    caller.check_healed()


def test_slow_google_holds_no_one_beyond_the_deadline(google: Upstream, caller: Caller) -> None:
    """Silence, a head and a body that come byte by byte: each would take a minute. All at once here."""
    slow = [fault.hang, fault.drip_headers, fault.drip_body]
    google.behaviour = lambda exchange: slow[len(google.mints) % 3](exchange)
    try:
        with ThreadPoolExecutor(3) as threads:
            asked = [threads.submit(caller.mint) for _ in slow]
            assert caller.ready() == 200
            seen = [one.result() for one in asked]
    finally:
        google.behaviour = fault.token
    assert {one.answer for one in seen} == {TIMEOUT}
    assert max(one.seconds for one in seen) < DEADLINE_SECONDS + caller.patience
    caller.check_healed()


def test_long_outage_is_answered_at_once_and_heals(google: Upstream, caller: Caller) -> None:
    """After five failures Google is asked once in five seconds."""
    google.behaviour, before = fault.reset, len(google.mints)
    seen = [caller.mint() for _ in range(15)]
    assert {one.answer for one in seen} == {ERROR}
    assert len(google.mints) - before < 10
    google.behaviour = fault.token
    caller.check_healed()


def test_google_that_is_gone_and_comes_back(make_broker: MakeBroker) -> None:
    """Refused connections, then none that leads anywhere, then Google again, at the same address."""
    with (
        Upstream() as google,
        socket.create_server(("127.0.0.1", 0)) as silent,
        TcpProxy(("127.0.0.1", google.port)) as address,
    ):
        caller = Caller(make_broker(address.url, workers=1), "alice")
        address.cut()
        address.lead_to(("127.0.0.1", 1))
        assert caller.mint().answer == ERROR
        assert caller.ready() == 200
        address.lead_to(silent.getsockname())
        seen = caller.mint()
        assert seen.answer == TIMEOUT
        assert seen.seconds < DEADLINE_SECONDS + caller.patience
        address.lead_to(("127.0.0.1", google.port))
        caller.check_healed()


@pytest.mark.parametrize("tls", [False, True], ids=["plain text for TLS", "TLS for plain text"])
def test_google_that_speaks_another_protocol(make_broker: MakeBroker, tls: bool) -> None:
    """The list of models cannot be read either, so no worker ever had a token."""
    with StandIn(port=0, tls=tls) as standin:
        scheme = "http" if tls else "https"
        port = standin.url.rpartition(":")[2]
        broker = make_broker(f"{scheme}://127.0.0.1:{port}", workers=1)
        with closing(broker):
            broker.add_user("alice")
            with broker.client("alice") as alice:
                answer = alice.post("/token")
                assert (answer.status_code, answer.json()["code"]) == ERROR
                assert alice.get("/readyz").status_code == 200
                limits = alice.get("/me").json()["limits"]
            assert (limits["sessions"]["open"], limits["minutes_per_day"]["used"]) == (0, 0)
