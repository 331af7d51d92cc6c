"""Repeats: the first is written at once, the others as one count, and none is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from structlog.testing import capture_logs

from broker.telemetry import repeats
from broker.telemetry.repeats import MOST_OF_ONE_CALLER, Counted, Kind, RepeatedLines, Repeats

REST = Kind("rest", "rest")


class Desk:
    """A Repeats with a clock that stands still, and what it wrote."""

    def __init__(self, most: int = repeats.MOST_KINDS) -> None:
        self.now = 1000.0
        self.firsts: Counter[tuple[str, str]] = Counter()
        self.written: list[Counted[str]] = []
        self.is_broken = False
        self.repeats: Repeats[str] = Repeats(self._write, clock=lambda: self.now, most=most)

    def _write(self, counts: Sequence[Counted[str]]) -> None:
        if self.is_broken:
            raise OSError("no store")
        self.written += counts

    def happen(self, kind: str, caller: str = "alice") -> bool:
        first = self.repeats.is_first(caller, Kind(kind, kind), REST)
        self.firsts[caller, kind] += first
        return first

    def sum(self) -> int:
        return self.firsts.total() + sum(counted.times for counted in self.written)


def test_first_is_written_at_once_and_the_others_when_the_minute_is_over() -> None:
    desk = Desk()
    assert [desk.happen("a") for _ in range(100)] == [True] + [False] * 99
    desk.now += 59
    desk.repeats.write_due()
    assert desk.written == []
    desk.now += 1
    desk.repeats.write_due()
    assert [(counted.sample, counted.times) for counted in desk.written] == [("a", 99)]
    assert desk.happen("a"), "a new minute"


def test_next_one_after_the_minute_closes_it() -> None:
    desk = Desk()
    for _ in range(3):
        desk.happen("a")
    desk.now += 61
    assert desk.happen("a")
    desk.repeats.write_due()
    assert [counted.times for counted in desk.written] == [2]


def test_single_event_is_written_once() -> None:
    desk = Desk()
    desk.happen("a")
    desk.repeats.write_due(all_of_them=True)
    assert desk.written == []


def test_callers_and_kinds_are_not_mixed() -> None:
    desk = Desk()
    for caller, kind, times in (("alice", "a", 5), ("alice", "b", 3), ("bob", "a", 2)):
        for _ in range(times):
            desk.happen(kind, caller)
    desk.repeats.write_due(all_of_them=True)
    assert sorted(counted.times for counted in desk.written) == [1, 2, 4]
    assert desk.firsts == {("alice", "a"): 1, ("alice", "b"): 1, ("bob", "a"): 1}


def test_caller_with_ever_new_kinds_is_folded() -> None:
    desk = Desk()
    for number in range(1000):
        desk.happen(f"kind {number}")
    desk.happen("other", "bob")
    desk.repeats.write_due(all_of_them=True)
    assert desk.firsts.total() == MOST_OF_ONE_CALLER + 1 + 1, "and the first of the rest"
    assert [(counted.sample, counted.times) for counted in desk.written] == [("rest", 949)]
    assert desk.sum() == 1001


def test_kinds_of_an_earlier_minute_are_forgotten() -> None:
    desk = Desk()
    for number in range(200):
        desk.now += 2
        assert desk.happen(f"kind {number}"), number


def test_memory_is_bounded_and_what_falls_out_is_written() -> None:
    desk = Desk(most=10)
    for caller in range(50):
        desk.happen("a", f"caller {caller}")
        desk.happen("a", f"caller {caller}")
    assert len(desk.repeats._windows) == 10
    desk.repeats.write_due()
    assert len(desk.written) == 40
    desk.repeats.write_due(all_of_them=True)
    assert desk.sum() == 100


def test_counts_wait_for_a_store_that_fails() -> None:
    desk = Desk()
    desk.is_broken = True
    with capture_logs() as lines:
        for _ in range(3):
            for _ in range(4):
                desk.happen("a")
            desk.now += 61
            desk.repeats.write_due()
            assert desk.repeats.has_counts
    assert [line["event"] for line in lines] == ["repeats_not_written"], "once, not each time"
    desk.is_broken = False
    desk.repeats.write_due(all_of_them=True)
    assert desk.sum() == 12


def test_first_that_cannot_be_written_is_not_counted_and_hides_no_other() -> None:
    desk = Desk()
    kind = Kind("a", "a")
    assert desk.repeats.is_first("alice", kind, REST)
    assert not desk.happen("a")
    desk.repeats.forget_first("alice", kind)
    assert desk.happen("a")
    desk.repeats.write_due()
    assert [counted.times for counted in desk.written] == [1]


def test_sums_are_exact_with_many_threads() -> None:
    desk = Desk(most=5)
    with ThreadPoolExecutor(8) as threads:
        firsts = list(
            threads.map(lambda n: desk.repeats.is_first(f"caller {n % 7}", Kind("a", "a"), REST), range(4000))
        )
        desk.repeats.write_due()
    desk.repeats.write_due(all_of_them=True)
    assert sum(firsts) + sum(counted.times for counted in desk.written) == 4000


@pytest.mark.parametrize("reason", ["same", None])
def test_lines_keep_their_fields(reason: str | None) -> None:
    logger = structlog.get_logger("tests")
    with capture_logs() as lines:
        folded = RepeatedLines(lambda **fields: logger.info("tried", **fields))
        for number in range(200):
            folded.log("alice", {"code": "forbidden"}, reason=reason or f"reason {number}")
        repeats.write_all()
    assert sum(line.get("times", 1) for line in lines) == 200
    assert {line["code"] for line in lines} == {"forbidden"}
    assert len(lines) == (2 if reason else MOST_OF_ONE_CALLER + 2)
    assert lines[-1].get("reason") == reason
