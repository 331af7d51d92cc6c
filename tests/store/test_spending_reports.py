"""What operators read about the costs of a day and a month, on each database."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from broker.limits.budget import Calendar
from broker.limits.policy import Policy
from broker.principal import end_user
from broker.settings import Plan, Project
from broker.store.reporting.budgets import SqlBudgets
from tests.store.conftest import MakeDatabase
from tests.store.test_budgets import ALICE, BOB, CENT, KEY, Book

PLAN = Plan(rate="1/minute", sessions=1, minutes_per_day=1, session_minutes=1)
NEW_YORK = "America/New_York"
# A full token of 900 seconds costs 90 cents.
TOKEN_NANOS = 90 * CENT * 1000


@pytest.fixture
def book(make_database: MakeDatabase) -> Book:
    return Book(make_database, NEW_YORK)


def budgets_of(book: Book) -> SqlBudgets:
    policy = Policy({"default": PLAN}, Project(sessions=1000, budget_per_month=100))
    return SqlBudgets(book.database, policy, Calendar(ZoneInfo(NEW_YORK)), "USD")


def test_day_and_month_are_the_operators(book: Book) -> None:
    book.now = datetime(2026, 2, 1, 4, 59, tzinfo=UTC)  # still January there
    book.open()
    book.later(minutes=1)
    book.open(BOB)
    spent = budgets_of(book).of_project()
    assert (spent.day, spent.month, spent.projected) == (TOKEN_NANOS, TOKEN_NANOS, None)
    (bound,) = spent.bounds
    assert (bound.policy, bound.used, bound.limit) == ("budget_per_month", TOKEN_NANOS, 100 * 10**9)
    assert [one.key for one in budgets_of(book).spenders("user", limit=9)] == [BOB.key]


@pytest.mark.parametrize(
    ("now", "share"),
    [
        (datetime(2026, 4, 2, 3, 59, tzinfo=UTC), None),
        (datetime(2026, 4, 2, 4, 0, tzinfo=UTC), (1, 30)),
        (datetime(2026, 4, 16, 4, 0, tzinfo=UTC), (15, 30)),
        # The clock change of March takes an hour.
        (datetime(2026, 3, 16, 4, 0, tzinfo=UTC), (15 * 24 - 1, 31 * 24 - 1)),
    ],
)
def test_projection_divides_by_the_share_of_the_month(
    book: Book, now: datetime, share: tuple[int, int] | None
) -> None:
    book.now = now
    book.open()
    expected = None if share is None else TOKEN_NANOS * share[1] // share[0]
    assert budgets_of(book).of_project().projected == expected


def test_reservation_of_a_worker_that_died_is_not_spent(book: Book) -> None:
    book.reserve()
    book.later(seconds=151)
    assert budgets_of(book).of_project().month == 0
    assert [one.month for one in budgets_of(book).spenders("user", limit=9)] == [0]


def test_spenders_come_in_pages_the_largest_first(book: Book) -> None:
    users = [end_user(KEY, f"u{number}") for number in range(3)]
    for who, times in ((users[0], 1), (users[1], 3), (users[2], 1), (ALICE, 2), (KEY, 1)):
        for _ in range(times):
            book.open(who)
    budgets = budgets_of(book)
    found = budgets.spenders("user", limit=9)
    assert [one.key for one in found[:2]] == [users[1].key, ALICE.key]
    assert {one.key for one in found[2:]} == {users[0].key, users[2].key}
    paged = budgets.spenders("user", limit=3)
    last = paged[-1]
    paged += budgets.spenders("user", after=(last.rank, last.key), limit=3)
    assert [one.key for one in paged] == [one.key for one in found]
    (key,) = budgets.spenders("key", limit=9)
    assert (key.key, key.month) == (KEY.key, 6 * TOKEN_NANOS)
