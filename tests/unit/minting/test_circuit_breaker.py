"""The gate: a full house answers at once, and an outage is not waited for by everybody."""

from __future__ import annotations

import threading

import pytest

from broker.errors import Code, Refusal
from broker.minting.circuit_breaker import FAILURES_TO_OPEN, OPEN_SECONDS, Gate


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(code: Code = "upstream-timeout") -> str:
    raise Refusal(code)


def refusal(gate: Gate, code: Code = "upstream-timeout") -> Refusal:
    with pytest.raises(Refusal) as raised:
        gate.run(lambda: fail(code))
    return raised.value


def opened(clock: Clock) -> Gate:
    gate = Gate(4, clock)
    for _ in range(FAILURES_TO_OPEN):
        refusal(gate)
    return gate


def test_who_finds_no_place_is_told_so_at_once() -> None:
    gate = Gate(1)
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        go_on.wait(10)
        return "done"

    thread = threading.Thread(target=gate.run, args=(slow,))
    thread.start()
    assert inside.wait(10)
    with pytest.raises(Refusal) as raised:
        gate.run(lambda: "never")
    go_on.set()
    thread.join(10)
    assert raised.value.code == "busy"
    assert (raised.value.retry_after_seconds or 0) >= 1
    assert gate.run(lambda: "free again") == "free again"


def test_a_place_is_given_back_whatever_happens() -> None:
    gate = Gate(1)
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            gate.run(lambda error=error: (_ for _ in ()).throw(error()))  # type: ignore[misc]
    assert gate.run(lambda: 1) == 1


def test_after_failures_in_a_row_nobody_waits_for_another() -> None:
    clock = Clock()
    gate = opened(clock)
    with pytest.raises(Refusal) as raised:
        gate.run(lambda: pytest.fail("was tried"))
    assert raised.value.code == "upstream-timeout", "the truth about the last one"
    assert 1 <= (raised.value.retry_after_seconds or 0) <= OPEN_SECONDS + 3


def test_one_probe_finds_out_whether_it_is_over() -> None:
    clock = Clock()
    gate = opened(clock)
    clock.now += OPEN_SECONDS

    def probe() -> str:
        with pytest.raises(Refusal):
            gate.run(lambda: pytest.fail("a second probe beside the first"))
        return "healthy"

    assert gate.run(probe) == "healthy"
    assert gate.run(lambda: "closed again") == "closed again"


def test_a_failed_probe_keeps_it_open() -> None:
    clock = Clock()
    gate = opened(clock)
    clock.now += OPEN_SECONDS
    assert refusal(gate, "upstream-error").code == "upstream-error"
    with pytest.raises(Refusal) as raised:
        gate.run(lambda: pytest.fail("was tried"))
    assert raised.value.code == "upstream-error"


@pytest.mark.parametrize("code", ["upstream-rejected", "upstream-quota"])
def test_a_clear_answer_is_a_healthy_one(code: Code) -> None:
    gate = Gate(4, Clock())
    for _ in range(FAILURES_TO_OPEN * 2):
        assert refusal(gate, code).code == code
    assert gate.run(lambda: "still tried") == "still tried"


def test_single_failures_do_not_add_up() -> None:
    gate = Gate(4, Clock())
    for _ in range(FAILURES_TO_OPEN * 2):
        refusal(gate)
        assert gate.run(lambda: "fine") == "fine"
