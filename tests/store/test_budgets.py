"""Budgets: money of a day and a month, and minutes of a month, exact on each database."""

from __future__ import annotations

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from broker.errors import Refusal
from broker.identity.users import User
from broker.limits.budget import NO_BUDGET, Budget, Calendar
from broker.limits.quota import PROJECT, UNLIMITED, Quota, Quotas, QuotaUsage
from broker.minting.minter import MintedToken
from broker.principal import Principal, end_user, team_named
from broker.sessions.session import Reservation, SessionTerms
from broker.settings import PriceList
from broker.store.accounts.removal import remove_user
from broker.store.accounts.users import SqlUsers
from broker.store.database.sum_tables import spending
from broker.store.ledger.client_reports import SqlReports
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.purge import SqlPurge
from broker.store.ledger.spending import Spending
from broker.store.reporting.costs import costs_within
from broker.store.reporting.time_buckets import TimeBuckets
from tests.store.conftest import MakeDatabase, refused
from tests.support.prices import price
from tests.support.servers import own_principal

ALICE, BOB = own_principal("alice"), own_principal("bob")
KEY = Principal("live-broker:key", "k1", "shop", "default")
TEAM = team_named("engineering")
# A minute costs 0.06, a second 0.001.
PRICES = PriceList({"m": (price(per_minute=60_000),)})
CENT = 10_000  # in millionths
SECOND_NANOS = 10**6
TERMS = SessionTerms(
    "default", "models/m", session_seconds=7200, slice_seconds=900, connect_within_seconds=120, client={}
)


class Book:
    """A ledger with prices, whose clock the test moves."""

    def __init__(self, make_database: MakeDatabase, zone: str = "UTC") -> None:
        self.now = datetime(2026, 1, 10, 12, tzinfo=UTC)
        self.database = make_database(clock=lambda: self.now)
        of = Spending(PRICES, Calendar(ZoneInfo(zone)))
        self.ledger = SqlLedger(self.database, of)
        self.reports = SqlReports(self.database, of)

    def quotas(
        self,
        who: Principal,
        budget: Budget = NO_BUDGET,
        project: Budget = NO_BUDGET,
        key: Budget = NO_BUDGET,
        team: Budget = NO_BUDGET,
    ) -> Quotas:
        of = [Quota(who.key, 1000, 10_000, budget=budget)]
        if who.actor:
            of.insert(0, Quota(who.actor.key, 1000, 10_000, "the service key", budget=key))
        if who.team:
            of.insert(0, Quota(who.team.key, UNLIMITED, UNLIMITED, "the team", budget=team, is_team=True))
        return Quotas(tuple(of), 10_000, project_budget=project)

    def reserve(self, who: Principal = ALICE, terms: SessionTerms = TERMS, **budgets: Budget) -> Reservation:
        return self.ledger.reserve(who, terms, self.quotas(who, **budgets))

    def open(self, who: Principal = ALICE, terms: SessionTerms = TERMS, **budgets: Budget) -> Reservation:
        return self.confirmed(who, self.reserve(who, terms, **budgets))

    def renew(self, opened: Reservation, who: Principal = ALICE, **budgets: Budget) -> Reservation:
        following = self.ledger.reserve_next(who, opened.session_id, 900, 120, self.quotas(who, **budgets))
        return self.confirmed(who, following)

    def confirmed(self, who: Principal, reservation: Reservation) -> Reservation:
        self.ledger.confirm(who, reservation, MintedToken(secrets.token_hex(8)))
        return reservation

    def end(self, opened: Reservation, who: Principal = ALICE) -> None:
        self.ledger.end(who, opened.session_id, self.quotas(who))

    def later(self, **parts: int) -> None:
        self.now += timedelta(**parts)

    def usage(self, who: Principal = ALICE, **budgets: Budget) -> QuotaUsage:
        return self.ledger.usages(self.quotas(who, **budgets), TERMS.model)[0][-1]

    def spent(self, period: str = "2026-01", key: str | None = None) -> int:
        """Nanos as the sums have them."""
        with self.database.read() as connection:
            found = select(spending.c.nanos).where(
                spending.c.key == (key or ALICE.key), spending.c.period == period
            )
            return int(connection.execute(found).scalar_one_or_none() or 0)

    def cost(self) -> int:
        """Nanos as the rows have them."""
        with self.database.read() as connection:
            days = TimeBuckets(datetime(2026, 1, 1, tzinfo=UTC), 86_400, 31)
            return costs_within(connection, days, PRICES).total.nanos


@pytest.fixture
def book(make_database: MakeDatabase) -> Book:
    return Book(make_database)


def length(reservation: Reservation) -> float:
    return (reservation.expires_at - reservation.reserved_at).total_seconds()


def test_last_token_is_as_long_as_the_budget_allows(book: Book) -> None:
    """A dollar and a half is 1,500 seconds: a full slice, then the rest, then nothing."""
    budget = Budget(per_month=150 * CENT)
    opened = book.open(budget=budget)
    assert length(opened) == 900
    book.later(seconds=900)
    assert length(book.renew(opened, budget=budget)) == 600
    book.later(seconds=600)
    refusal = refused(lambda: book.open(budget=budget))
    assert (refusal.code, refusal.status) == ("budget-exhausted", 429)
    assert "budget is used up" in str(refusal.detail)
    assert refusal.extensions["violated-policies"] == ["budget_per_month"]
    assert refusal.retry_after_seconds == (datetime(2026, 2, 1, tzinfo=UTC) - book.now).total_seconds()
    assert book.spent() == 1500 * SECOND_NANOS == book.cost()
    book.now = datetime(2026, 2, 1, tzinfo=UTC)
    assert length(book.open(budget=budget)) == 900


def test_end_returns_what_was_not_used(book: Book) -> None:
    opened = book.open()
    assert book.spent() == 900 * SECOND_NANOS
    book.later(seconds=100)
    book.end(opened)
    assert book.spent() == 100 * SECOND_NANOS == book.cost()
    assert book.spent("2026-01-10") == book.spent(key=PROJECT) == book.spent("2026-01-10", PROJECT)


def lose(book: Book, reservation: Reservation, how: str) -> None:
    """Nobody gets the token that was reserved for alice."""
    if how == "void":
        book.ledger.void(reservation, "upstream-error")
    elif how == "removed":
        remove_user(book.database, "alice", actor="tests", keep_one_operator=False)
    else:
        book.later(seconds=151)
    if how == "purged":
        book.later(days=4)
        SqlPurge(book.database, PRICES).purge(book.now - timedelta(days=2), actor="tests")


@pytest.mark.parametrize("how", ["void", "dead", "removed", "purged"])
def test_token_that_was_not_delivered_costs_nothing(book: Book, how: str) -> None:
    SqlUsers(book.database).add(User("alice", "hash"), actor="tests")
    reservation = book.reserve()
    lose(book, reservation, how)
    if how == "purged":
        assert book.spent(key=PROJECT) == 0
    budget = Budget(per_month=900 * CENT // 10)
    for usage in book.ledger.usages(book.quotas(ALICE, budget, budget), TERMS.model)[0]:
        assert [bound.used for bound in usage.bounds] == [0]
    assert length(book.open(BOB, budget=budget, project=budget)) == 900


def test_reported_tokens_raise_the_charge_once(book: Book) -> None:
    opened = book.open()
    book.later(seconds=600)
    report = {"input_tokens": 400_000, "input_audio_tokens": 400_000}
    for _ in range(3):
        book.reports.put(ALICE, opened.session_id, report)
        book.later(seconds=2)
    assert book.spent() == 400_000 * 3000 == book.cost()
    book.reports.put(ALICE, opened.session_id, {"input_tokens": 1000})
    assert book.spent() == 400_000 * 3000
    book.end(opened)
    assert book.spent() == 400_000 * 3000 == book.cost()


def test_report_can_use_up_the_budget_and_stops_the_next_token(book: Book) -> None:
    budget = Budget(per_day=100 * CENT)
    opened = book.open(budget=budget)
    book.later(seconds=600)
    book.reports.put(ALICE, opened.session_id, {"input_tokens": 400_000, "input_audio_tokens": 400_000})
    assert length(book.renew(opened, budget=budget)) == 300, "these seconds are charged already"
    book.later(seconds=300)
    assert refused(lambda: book.renew(opened, budget=budget)).code == "budget-exhausted"
    (bound,) = book.usage(budget=budget).bounds
    assert (bound.used, bound.left, bound.left_seconds) == (400_000 * 3000, 0, 0)


def test_minutes_of_a_month(book: Book) -> None:
    budget = Budget(minutes_per_month=20)
    book.open(budget=budget)
    assert length(book.open(budget=budget)) == 300
    refusal = refused(lambda: book.open(budget=budget))
    assert refusal.code == "minutes-exhausted"
    assert "This month's 20 minutes are used up" in str(refusal.detail)
    book.now = datetime(2026, 2, 1, tzinfo=UTC)
    book.open(budget=budget)


def test_key_and_project_share_their_budgets_and_keep_their_numbers(book: Book) -> None:
    users = [end_user(KEY, f"u{number}") for number in range(3)]
    of_key = Budget(per_month=180 * CENT)
    for user in users[:2]:
        book.open(user, key=of_key)
    refusal = refused(lambda: book.open(users[2], key=of_key))
    assert str(refusal.detail).startswith("This month's budget of the service key is used up.")
    project = Budget(per_day=190 * CENT)
    assert length(book.open(BOB, project=project)) == 100
    refusal = refused(lambda: book.open(ALICE, project=project))
    assert str(refusal.detail).startswith("This day's budget of the service is used up.")
    assert not refusal.limits


def test_model_without_a_price_cannot_use_a_budget(book: Book) -> None:
    terms = replace(TERMS, model="models/new")
    assert length(book.open(terms=terms)) == 900
    assert refused(lambda: book.open(terms=terms, budget=Budget(per_day=CENT))).code == "budget-exhausted"
    assert book.spent() == 0


def test_session_counts_in_the_day_on_which_it_was_opened(make_database: MakeDatabase) -> None:
    """In Paris, the 11th begins at 23:00 UTC on the 10th."""
    book = Book(make_database, "Europe/Paris")
    budget = Budget(per_day=120 * CENT)
    book.now = datetime(2026, 1, 10, 22, 50, tzinfo=UTC)
    opened = book.open(budget=budget)
    book.later(seconds=900)
    assert length(book.renew(opened, budget=budget)) == 300, "of the 10th"
    assert (book.spent("2026-01-10"), book.spent("2026-01-11")) == (1200 * SECOND_NANOS, 0)
    book.later(seconds=300)
    refusal = refused(lambda: book.renew(opened, budget=budget))
    assert (refusal.code, refusal.retry_after_seconds) == ("budget-exhausted", 1)
    assert length(book.open(budget=budget)) == 900, "of the 11th"


@pytest.mark.parametrize("owner", ["budget", "key", "team", "project"])
def test_crowd_spends_the_budget_exactly(book: Book, owner: str) -> None:
    """Five slices of 900 s and one of 300 s."""
    budgets = {owner: Budget(per_month=480 * CENT)}
    key = replace(KEY, team=TEAM) if owner == "team" else KEY
    users = [end_user(key, "one" if owner == "budget" else f"u{number}") for number in range(16)]

    def ask(who: Principal) -> float | str:
        try:
            return length(book.confirmed(who, book.ledger.reserve(who, TERMS, book.quotas(who, **budgets))))
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(16) as threads:
        answers = Counter(threads.map(ask, users))
    assert answers == {900: 5, 300: 1, "budget-exhausted": 10}
    assert book.spent(key=PROJECT) == 4800 * SECOND_NANOS == book.cost()
