"""Calls that hang open the breaker long before their deadline. The first answer of a later call closes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

import pytest

from broker.errors import Code, Refusal
from broker.minting.circuit_breaker import HANGING_SECONDS, HANGING_TO_OPEN, OPEN_SECONDS, Bulkhead
from broker.minting.errors import QuotaRefusal

SLOTS = 24
ENOUGH = SLOTS // 4
"""So many hanging calls open the breaker."""
DEADLINE_SECONDS = 5.0


class Call:
    """A call that runs in a thread of its own until `end`."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self._began, self._ends = threading.Event(), threading.Event()
        self._failure: Refusal | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._began.wait(10), "the call was refused"

    def end(self, failure: Code | Refusal | None = None) -> None:
        self._failure = failure if isinstance(failure, Refusal) or failure is None else Refusal(failure)
        self._ends.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with suppress(Refusal):
            self._bulkhead.run(self._call)

    def _call(self) -> None:
        self._began.set()
        self._ends.wait(30)
        if self._failure is not None:
            raise self._failure


class Google:
    """A bulkhead with a clock that the test moves, and the calls that hang in it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.bulkhead = Bulkhead(SLOTS, lambda: self.now)
        self.hanging: list[Call] = []

    def hang(self, calls: int = 1) -> None:
        self.hanging += [Call(self.bulkhead) for _ in range(calls)]

    def open_by_hanging(self, calls: int = ENOUGH) -> None:
        self.hang(calls)
        self.now += HANGING_SECONDS
        assert self.state() == "open"

    def end_all(self, failure: Code | None = None) -> None:
        while self.hanging:
            self.hanging.pop(0).end(failure)

    def state(self) -> Literal["open", "passes"]:
        """Whether a call would be refused now. It makes none, so it uses up no probe."""
        try:
            self.bulkhead.check()
        except Refusal as refusal:
            seen = refusal
        else:
            return "passes"
        assert seen.code == "upstream-timeout"
        assert 1 <= (seen.retry_after_seconds or 0) <= OPEN_SECONDS + 3
        return "open"

    def answers(self) -> None:
        assert self.bulkhead.run(lambda: "an answer") == "an answer"


@pytest.fixture
def google() -> Iterator[Google]:
    google = Google()
    yield google
    google.end_all()


def test_enough_hanging_calls_open_the_breaker_before_their_deadline(google: Google) -> None:
    google.hang(ENOUGH)
    google.now += HANGING_SECONDS - 0.01
    google.answers()
    google.now += 0.01
    with pytest.raises(Refusal) as raised:
        google.bulkhead.run(lambda: pytest.fail("was tried"))
    assert raised.value.code == "upstream-timeout"
    assert raised.value.retry_after_seconds
    assert HANGING_SECONDS < DEADLINE_SECONDS / 2


def test_fewer_hanging_calls_leave_it_closed(google: Google) -> None:
    google.hang(ENOUGH - 1)
    google.now += 10 * HANGING_SECONDS
    google.answers()


def test_calls_count_by_their_own_age(google: Google) -> None:
    for _ in range(ENOUGH):
        google.hang()
        google.now += HANGING_SECONDS / ENOUGH
    assert google.state() == "passes", "only the first is old"
    google.now += HANGING_SECONDS
    assert google.state() == "open"


@pytest.mark.parametrize(("slots", "enough"), [(1, 1), (3, 3), (5, 5), (12, 5), (24, 6), (96, 24)])
def test_the_number_of_slots_decides_how_many_are_enough(slots: int, enough: int) -> None:
    google = Google()
    google.bulkhead = Bulkhead(slots, lambda: google.now)
    google.hang(enough - 1)
    google.now += HANGING_SECONDS
    assert google.state() == "passes"
    google.hang()
    google.now += HANGING_SECONDS
    assert google.state() == "open"
    google.end_all()
    assert enough == slots or enough >= HANGING_TO_OPEN


def test_full_bulkhead_answers_busy_until_it_is_known_that_google_hangs(google: Google) -> None:
    def refused() -> Code:
        with pytest.raises(Refusal) as raised:
            google.bulkhead.run(lambda: pytest.fail("was tried"))
        return raised.value.code

    google.hang(SLOTS)
    assert refused() == "busy"
    google.now += HANGING_SECONDS
    assert refused() == "upstream-timeout"
    google.now += OPEN_SECONDS
    assert refused() == "upstream-timeout", "a probe is due, but no slot is free"


def test_one_probe_at_a_time_and_the_next_when_it_hangs(google: Google) -> None:
    google.open_by_hanging()
    for _ in range(3):
        google.now += OPEN_SECONDS - 0.01
        assert google.state() == "open"
        google.now += 0.01
        google.hang()  # the probe
        assert google.state() == "open"


def test_probe_that_fails_at_once_does_not_let_the_next_begin_at_once(google: Google) -> None:
    google.open_by_hanging()
    google.now += OPEN_SECONDS
    with pytest.raises(Refusal):
        google.bulkhead.run(_raise("upstream-timeout"))
    assert google.state() == "open"


def test_failures_of_calls_that_hung_do_not_delay_the_next_probe(google: Google) -> None:
    google.open_by_hanging()
    google.now += OPEN_SECONDS - 0.01
    google.end_all("upstream-timeout")
    assert google.state() == "open"
    google.now += 0.01
    google.answers()


def test_success_of_a_probe_closes_it_though_the_earlier_calls_still_hang(google: Google) -> None:
    """They hang in connections that are dead. New ones are not."""
    google.open_by_hanging(ENOUGH + 3)
    google.now += OPEN_SECONDS
    google.answers()
    assert google.state() == "passes"
    google.now += 10
    assert google.state() == "passes"
    google.end_all("upstream-timeout")
    assert google.state() == "passes", "their failures are older than the success"
    google.open_by_hanging()


def test_late_answer_to_an_earlier_call_is_not_enough_while_others_hang(google: Google) -> None:
    google.open_by_hanging(ENOUGH + 2)
    google.hanging.pop(0).end()
    assert google.state() == "open"
    google.hanging.pop(0).end()
    assert google.state() == "open"
    google.hanging.pop(0).end()
    assert google.state() == "passes", "fewer hang than are needed to open it"


def test_late_answer_does_not_postpone_the_next_probe(google: Google) -> None:
    google.open_by_hanging(ENOUGH + 1)
    google.now += OPEN_SECONDS - 0.01
    google.hanging.pop(0).end()
    assert google.state() == "open"
    google.now += 0.01
    google.answers()
    assert google.state() == "passes"


def test_slow_answers_to_all_close_it(google: Google) -> None:
    google.open_by_hanging()
    google.end_all()
    google.answers()


def test_rejections_count_as_answers_to_a_probe(google: Google) -> None:
    google.open_by_hanging()
    google.now += OPEN_SECONDS
    with pytest.raises(Refusal):
        google.bulkhead.run(_raise("upstream-rejected"))
    assert google.state() == "passes"


def test_hanging_calls_that_end_as_failures_keep_it_open(google: Google) -> None:
    google.open_by_hanging()
    google.end_all("upstream-timeout")
    assert google.state() == "open"


@pytest.mark.parametrize("began", [0.0, 0.5, 1.0, 1.5, 1.99])
def test_recovery_is_noticed_within_one_interval_of_probes(google: Google, began: float) -> None:
    """A probe began `began` seconds before Google returned, and hangs until its deadline."""
    google.open_by_hanging()
    google.now += OPEN_SECONDS
    google.hang()
    returned_at = google.now = google.now + began
    while google.state() == "open":
        google.now += 0.05
    google.answers()
    assert google.now - returned_at <= OPEN_SECONDS + 0.05
    assert google.state() == "passes"


def test_delay_that_google_asks_for_holds_though_a_later_call_has_succeeded(google: Google) -> None:
    google.open_by_hanging()
    google.now += OPEN_SECONDS
    google.answers()
    google.hanging.pop().end(QuotaRefusal("HTTP 429", 90))
    with pytest.raises(Refusal) as raised:
        google.bulkhead.check()
    assert (raised.value.code, raised.value.retry_after_seconds) == ("upstream-quota", 90)


def _raise(code: Code) -> Callable[[], None]:
    def call() -> None:
        raise Refusal(code)

    return call
