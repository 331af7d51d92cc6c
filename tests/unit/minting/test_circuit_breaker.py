"""Calls to Google: a call without a free slot is refused at once, and an outage stops further attempts."""

from __future__ import annotations

import math
import threading

import pytest

from broker.errors import Code, Refusal
from broker.minting.circuit_breaker import FAILURES_TO_OPEN, OPEN_SECONDS, Bulkhead
from broker.minting.errors import QuotaRefusal


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


@pytest.mark.parametrize("code", ["upstream-rejected", "busy"])
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


def quota(bulkhead: Bulkhead, delay_seconds: int | None) -> Refusal:
    def call() -> str:
        raise QuotaRefusal("HTTP 429", delay_seconds)

    with pytest.raises(Refusal) as raised:
        bulkhead.run(call)
    assert raised.value.code == "upstream-quota"
    return raised.value


@pytest.mark.parametrize("delay", [1, 90, 3600])
def test_no_call_before_the_delay_that_google_asks_for_is_over(delay: int) -> None:
    clock = Clock()
    bulkhead = Bulkhead(4, clock)
    assert quota(bulkhead, delay).retry_after_seconds == delay
    for passed in (0.0, delay / 2, delay - 0.25):
        clock.now = Clock.now + passed
        with pytest.raises(Refusal) as raised:
            bulkhead.run(lambda: pytest.fail("was tried"))
        assert raised.value.code == "upstream-quota"
        assert raised.value.retry_after_seconds == math.ceil(delay - passed)
    clock.now = Clock.now + delay
    assert bulkhead.run(lambda: "tried") == "tried"
    assert bulkhead.run(lambda: "closed again") == "closed again"


def test_success_of_an_earlier_call_does_not_shorten_the_delay() -> None:
    bulkhead = Bulkhead(4, Clock())

    def slow() -> str:
        quota(bulkhead, 90)
        return "began before"

    assert bulkhead.run(slow) == "began before"
    with pytest.raises(Refusal) as raised:
        bulkhead.run(lambda: pytest.fail("was tried"))
    assert raised.value.retry_after_seconds == 90


def test_probe_after_the_delay_is_one_and_may_extend_it() -> None:
    clock = Clock()
    bulkhead = Bulkhead(4, clock)
    quota(bulkhead, 90)
    clock.now += 90
    assert quota(bulkhead, 30).retry_after_seconds == 30
    with pytest.raises(Refusal) as raised:
        bulkhead.run(lambda: pytest.fail("was tried"))
    assert raised.value.retry_after_seconds == 30


def test_quota_without_a_delay_opens_the_breaker_after_several_answers() -> None:
    clock = Clock()
    bulkhead = Bulkhead(4, clock)
    for _ in range(FAILURES_TO_OPEN):
        assert quota(bulkhead, None).retry_after_seconds in range(20, 41)
    with pytest.raises(Refusal) as raised:
        bulkhead.run(lambda: pytest.fail("was tried"))
    assert raised.value.code == "upstream-quota"
    clock.now += OPEN_SECONDS
    assert bulkhead.run(lambda: "probe") == "probe"


def test_call_beside_takes_no_slot_and_its_failures_do_not_open_the_breaker() -> None:
    bulkhead = Bulkhead(1, Clock())
    assert bulkhead.run(lambda: bulkhead.run_beside(lambda: "beside")) == "beside"
    for _ in range(FAILURES_TO_OPEN * 2):
        with pytest.raises(Refusal):
            bulkhead.run_beside(fail)
    assert bulkhead.run(lambda: "still tried") == "still tried"


def test_call_beside_is_never_the_probe_and_does_not_close_the_breaker() -> None:
    clock = Clock()
    bulkhead = opened(clock)
    for _ in range(2):  # while no probe is due, and when one is
        with pytest.raises(Refusal) as raised:
            bulkhead.run_beside(lambda: pytest.fail("was tried"))
        assert raised.value.code == "upstream-timeout"
        clock.now += OPEN_SECONDS
    assert bulkhead.run(lambda: "the probe") == "the probe"
    assert bulkhead.run_beside(lambda: "beside") == "beside"


def test_call_beside_waits_as_long_as_google_asks() -> None:
    clock = Clock()
    bulkhead = Bulkhead(4, clock)
    quota(bulkhead, 90)
    clock.now += 89
    with pytest.raises(Refusal) as raised:
        bulkhead.run_beside(lambda: pytest.fail("was tried"))
    assert raised.value.code == "upstream-quota"


def test_success_beside_does_not_forgive_the_failures_of_callers() -> None:
    bulkhead = Bulkhead(4, Clock())
    for _ in range(FAILURES_TO_OPEN):
        bulkhead.run_beside(lambda: "beside")
        refusal(bulkhead)
    with pytest.raises(Refusal):
        bulkhead.run(lambda: pytest.fail("was tried"))
