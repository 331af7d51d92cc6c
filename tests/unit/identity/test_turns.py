"""Turns: one account cannot take the places of the others, and no one waits for longer than agreed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from broker.errors import Refusal
from broker.identity import passwords
from broker.identity.turns import Turns


class Busy:
    """Work that lasts until the test ends it."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.end = threading.Event()
        self.at_once: Counter[str | None] = Counter()
        self.most = 0
        self._lock = threading.Lock()

    def work(self, account: str | None) -> str:
        try:
            with self.turns.turn(account):
                with self._lock:
                    self.at_once[account] += 1
                    self.most = max(self.most, self.at_once[account])
                assert self.end.wait(20)
                with self._lock:
                    self.at_once[account] -= 1
        except Refusal as refusal:
            return refusal.code
        return "done"


Flood = tuple[Busy, ThreadPoolExecutor, list[Future[str]]]


@contextmanager
def twenty_of(account: str | None, turns: Turns) -> Iterator[Flood]:
    """Twenty calls of one account at once, of which those that are refused have been answered."""
    busy = Busy(turns)
    with ThreadPoolExecutor(40) as pool:
        try:
            calls = [pool.submit(busy.work, account) for _ in range(20)]
            expected = 3 if account is not None else 8
            wait_until_done(calls, 20 - expected)
            yield busy, pool, calls
        finally:
            busy.end.set()


def wait_until_done(calls: list[Future[str]], count: int) -> None:
    until = time.monotonic() + 10
    while sum(call.done() for call in calls) < count and time.monotonic() < until:
        time.sleep(0.001)


def turns(wait_seconds: float = 20) -> Turns:
    return Turns(at_once=2, waiting=6, waiting_per_account=2, wait_seconds=wait_seconds)


def test_one_account_has_one_turn_and_two_waiting_places() -> None:
    with twenty_of("alice", turns()) as (busy, _, calls):
        busy.end.set()
        answers = Counter(call.result() for call in calls)
    assert answers == {"done": 3, "busy": 17}
    assert busy.most == 1


@pytest.mark.parametrize("others", [["bob"], ["bob", "carol", "dave"], [None], ["bob", None]])
def test_other_accounts_get_their_turn_while_one_floods(others: list[str | None]) -> None:
    with twenty_of("alice", turns()) as (busy, pool, _):
        quick = [pool.submit(_at_once, busy.turns, other) for other in others]
        assert [call.result(10) for call in quick] == ["done"] * len(others), "although alice's check hangs"


def _at_once(turns: Turns, account: str | None) -> str:
    with turns.turn(account):
        return "done"


def test_work_without_an_account_is_bounded_too() -> None:
    with twenty_of(None, turns()) as (busy, _, calls):
        busy.end.set()
        assert Counter(call.result() for call in calls) == {"done": 8, "busy": 12}


def test_wait_ends_and_its_place_is_free_again() -> None:
    short = turns(wait_seconds=0.05)
    with twenty_of("alice", short) as (busy, pool, calls):
        wait_until_done(calls, 19)
        assert [call.result() for call in calls if call.done()] == ["busy"] * 19
        assert pool.submit(_at_once, short, "bob").result(10) == "done"
        busy.end.set()
    assert _at_once(short, "alice") == "done"
    assert not short._waiting
    assert not short._working


def test_failed_work_gives_its_turn_back() -> None:
    own = turns()
    for _ in range(5):
        with pytest.raises(ValueError, match="work"), own.turn("alice"):
            raise ValueError("work")
    assert _at_once(own, "alice") == "done"


def test_sign_ins_wait_as_long_as_decision_0012_says() -> None:
    assert passwords._turns._wait_seconds == 8.0
