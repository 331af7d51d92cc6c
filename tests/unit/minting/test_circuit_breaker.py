"""Calls to Google: a call without a free slot is refused at once, and an outage stops further attempts."""

from __future__ import annotations

import threading

import pytest

from broker.errors import Code, Refusal
from broker.minting.circuit_breaker import FAILURES_TO_OPEN, OPEN_SECONDS, Bulkhead


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(code: Code = "upstream-timeout") -> str:
    raise Refusal(code)


def refusal(bulkhead: Bulkhead, code: Code = "upstream-timeout") -> Refusal:
    with pytest.raises(Refusal) as raised:
        bulkhead.run(lambda: fail(code))
    return raised.value


def opened(clock: Clock) -> Bulkhead:
    bulkhead = Bulkhead(4, clock)
    for _ in range(FAILURES_TO_OPEN):
        refusal(bulkhead)
    return bulkhead


def test_call_without_free_slot_is_refused_at_once() -> None:
    bulkhead = Bulkhead(1)
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        go_on.wait(10)
        return "done"

    thread = threading.Thread(target=bulkhead.run, args=(slow,))
    thread.start()
    assert inside.wait(10)
    with pytest.raises(Refusal) as raised:
        bulkhead.run(lambda: "never")
    go_on.set()
    thread.join(10)
    assert raised.value.code == "busy"
    assert (raised.value.retry_after_seconds or 0) >= 1
    assert bulkhead.run(lambda: "free again") == "free again"


def test_slot_is_released_after_any_error() -> None:
    bulkhead = Bulkhead(1)
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            bulkhead.run(lambda error=error: (_ for _ in ()).throw(error()))  # type: ignore[misc]
    assert bulkhead.run(lambda: 1) == 1


def test_failures_in_a_row_open_the_breaker() -> None:
    clock = Clock()
    bulkhead = opened(clock)
    with pytest.raises(Refusal) as raised:
        bulkhead.run(lambda: pytest.fail("was tried"))
    assert raised.value.code == "upstream-timeout", "the code of the last failure"
    assert 1 <= (raised.value.retry_after_seconds or 0) <= OPEN_SECONDS + 3


def test_one_successful_probe_closes_the_breaker() -> None:
    clock = Clock()
    bulkhead = opened(clock)
    clock.now += OPEN_SECONDS

    def probe() -> str:
        with pytest.raises(Refusal):
            bulkhead.run(lambda: pytest.fail("a second probe beside the first"))
        return "healthy"

    assert bulkhead.run(probe) == "healthy"
    assert bulkhead.run(lambda: "closed again") == "closed again"


def test_failed_probe_keeps_the_breaker_open() -> None:
    clock = Clock()
    bulkhead = opened(clock)
    clock.now += OPEN_SECONDS
    assert refusal(bulkhead, "upstream-error").code == "upstream-error"
    with pytest.raises(Refusal) as raised:
        bulkhead.run(lambda: pytest.fail("was tried"))
    assert raised.value.code == "upstream-error"


@pytest.mark.parametrize("code", ["upstream-rejected", "upstream-quota"])
def test_rejection_by_google_counts_as_healthy(code: Code) -> None:
    bulkhead = Bulkhead(4, Clock())
    for _ in range(FAILURES_TO_OPEN * 2):
        assert refusal(bulkhead, code).code == code
    assert bulkhead.run(lambda: "still tried") == "still tried"


def test_single_failures_do_not_open_the_breaker() -> None:
    bulkhead = Bulkhead(4, Clock())
    for _ in range(FAILURES_TO_OPEN * 2):
        refusal(bulkhead)
        assert bulkhead.run(lambda: "fine") == "fine"
