"""Each threshold of a budget is reported once in its period, however many charges reach it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from broker.errors import Refusal
from broker.limits.budget import Budget
from broker.limits.quota import PROJECT
from broker.principal import end_user
from broker.store.database.sum_tables import budget_alerts
from broker.store.ledger.purge import SqlPurge
from broker.telemetry.metrics import BUDGET_THRESHOLDS
from tests.store.conftest import MakeDatabase, refused
from tests.store.test_budgets import ALICE, BOB, CENT, KEY, PRICES, Book

# A full token of 900 seconds costs 90 cents.
TOKEN = 90 * CENT


@pytest.fixture
def book(make_database: MakeDatabase) -> Book:
    return Book(make_database)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What was logged about thresholds, as it is logged."""
    with capture_logs() as logged:
        yield logged


def told(lines: list[Any]) -> list[tuple[str, str, int]]:
    found = [line for line in lines if line["event"] == "budget_threshold"]
    return [(line["owner"], line["policy"], line["threshold"]) for line in found]


def mine(*thresholds: int, policy: str = "budget_per_month") -> list[tuple[str, str, int]]:
    return [("live-broker:alice", policy, threshold) for threshold in thresholds]


def test_each_threshold_is_reported_once(book: Book, lines: list[Any]) -> None:
    budget = Budget(per_month=10 * TOKEN)
    for _ in range(4):
        book.open(budget=budget)
    assert told(lines) == []
    book.open(budget=budget)
    assert told(lines) == mine(50)
    assert {key: value for key, value in lines[-1].items() if key != "key"} == {
        "event": "budget_threshold", "log_level": "warning", "kind": "user", "owner": "live-broker:alice",
        "policy": "budget_per_month", "period": "2026-01", "threshold": 50, "spent": "4.50", "limit": "9.00",
        "currency": "USD",
    }  # fmt: skip
    for _ in range(3):
        book.open(budget=budget)
    assert told(lines) == mine(50, 80)
    for _ in range(2):
        book.open(budget=budget)
    assert told(lines) == mine(50, 80, 100)
    assert refused(lambda: book.open(budget=budget)).code == "budget-exhausted"
    assert told(lines) == mine(50, 80, 100)


def test_charge_that_passes_several_thresholds_reports_each(book: Book, lines: list[Any]) -> None:
    opened = book.open(budget=Budget(per_day=TOKEN, per_month=100 * TOKEN))
    assert told(lines) == mine(50, 80, 100, policy="budget_per_day")
    book.later(seconds=60)
    book.end(opened)
    book.open(budget=Budget(per_day=TOKEN, per_month=100 * TOKEN))
    assert told(lines) == mine(50, 80, 100, policy="budget_per_day"), "what was given back and charged again"


def test_renewals_and_a_new_period_count_too(book: Book, lines: list[Any]) -> None:
    budget = Budget(per_day=4 * TOKEN)
    opened = book.open(budget=budget)
    book.later(seconds=900)
    book.renew(opened, budget=budget)
    assert told(lines) == mine(50, policy="budget_per_day")
    book.later(days=1)
    book.open(budget=budget)
    book.open(budget=budget)
    assert told(lines) == mine(50, 50, policy="budget_per_day")


def test_void_that_takes_the_sum_back_does_not_alert_again(book: Book, lines: list[Any]) -> None:
    budget = Budget(per_month=2 * TOKEN)
    book.ledger.void(book.reserve(budget=budget), "upstream-error")
    assert book.spent() == 0
    book.open(budget=budget)
    assert told(lines) == mine(50)


def test_budget_that_was_lowered_is_reported_at_the_next_charge(book: Book, lines: list[Any]) -> None:
    book.open(budget=Budget(per_month=100 * TOKEN))
    assert refused(lambda: book.open(budget=Budget(per_month=TOKEN))).code == "budget-exhausted"
    assert told(lines) == []
    book.open(budget=Budget(per_month=TOKEN * 5 // 4 + TOKEN))
    assert told(lines) == mine(50, 80)


def test_report_of_a_client_can_reach_a_threshold(book: Book, lines: list[Any]) -> None:
    budget = Budget(per_month=4 * TOKEN)
    opened = book.open(budget=budget)
    book.later(seconds=60)
    quotas = book.quotas(ALICE, budget)
    counts = {"input_tokens": 3_000_000, "input_audio_tokens": 3_000_000}
    book.reports.put(ALICE, opened.session_id, counts, quotas)
    assert book.spent() > 4 * TOKEN * 1000
    assert told(lines) == mine(50, 80, 100)
    book.later(seconds=5)
    book.reports.put(ALICE, opened.session_id, {**counts, "input_tokens": 3_000_001}, quotas)
    assert told(lines) == mine(50, 80, 100)


def test_user_key_and_project_are_told_apart(book: Book, lines: list[Any]) -> None:
    user = end_user(KEY, "u1")
    before = {kind: _counted(kind, 50) for kind in ("user", "key", "project")}
    book.open(user, budget=Budget(per_day=2 * TOKEN), key=Budget(per_month=2 * TOKEN))
    assert set(told(lines)) == {
        ("live-broker:key:k1:u1", "budget_per_day", 50),
        ("live-broker:key:k1", "budget_per_month", 50),
    }
    book.open(BOB, project=Budget(per_month=4 * TOKEN))
    assert told(lines)[2:] == [(PROJECT, "budget_per_month", 50)]
    book.open(KEY, budget=Budget(per_day=3 * TOKEN))
    kinds = Counter(line["kind"] for line in lines if line["event"] == "budget_threshold")
    assert kinds == {"user": 1, "key": 2, "project": 1}
    assert {kind: _counted(kind, 50) - number for kind, number in before.items()} == kinds


def _counted(kind: str, threshold: int) -> int:
    return int(BUDGET_THRESHOLDS.labels(kind, str(threshold))._value.get())


def test_minutes_of_a_month_are_a_budget_too(book: Book, lines: list[Any]) -> None:
    book.open(budget=Budget(minutes_per_month=30))
    assert told(lines) == mine(50, policy="minutes_per_month")
    assert (lines[-1]["spent"], lines[-1]["limit"], lines[-1]["currency"]) == (15, 30, None)


def test_nothing_is_reported_unless_it_is_committed(book: Book, lines: list[Any]) -> None:
    def fault() -> None:
        with book.ledger.together():
            book.reserve(budget=Budget(per_day=TOKEN))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fault()
    assert told(lines) == []
    with book.ledger.together():
        book.reserve(budget=Budget(per_day=TOKEN))
        assert told(lines) == []
    assert told(lines) == mine(50, 80, 100, policy="budget_per_day")


def test_each_threshold_is_reported_once_by_many_callers(book: Book, lines: list[Any]) -> None:
    """Forty callers share the budget of the project, eight at a time; twenty tokens use it up."""
    project = Budget(per_month=20 * TOKEN)

    def one(number: int) -> str:
        user = end_user(KEY, f"u{number}")
        try:
            book.open(user, project=project, key=Budget(per_day=30 * TOKEN))
        except Refusal as refusal:
            return refusal.code
        return "granted"

    with ThreadPoolExecutor(8) as callers:
        outcomes = Counter(callers.map(one, range(40)))
    assert outcomes == {"granted": 20, "budget-exhausted": 20}
    assert Counter(told(lines)) == {
        (PROJECT, "budget_per_month", 50): 1,
        (PROJECT, "budget_per_month", 80): 1,
        (PROJECT, "budget_per_month", 100): 1,
        ("live-broker:key:k1", "budget_per_day", 50): 1,
    }


def test_alerts_of_months_that_are_purged_go_with_their_sums(book: Book) -> None:
    book.open(budget=Budget(per_day=TOKEN))
    with book.database.read() as connection:
        assert len(connection.execute(select(budget_alerts)).all()) == 3
    book.later(days=70)
    SqlPurge(book.database, PRICES).purge(book.now - timedelta(days=2), actor="tests")
    with book.database.read() as connection:
        assert connection.execute(select(budget_alerts)).all() == []
