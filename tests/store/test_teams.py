"""Teams: members share places, minutes and budgets, exactly on each database, and keep what they opened."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from broker.errors import Refusal
from broker.identity.users import User
from broker.limits.budget import Budget
from broker.limits.quota import UNLIMITED, Quota, Quotas, QuotaUsage
from broker.principal import Principal, team_named
from broker.sessions.session import Reservation
from broker.settings import PriceList
from broker.store.accounts.overrides import SqlOverrides
from broker.store.accounts.users import SqlUsers
from broker.store.database.tables import principals, sessions
from broker.store.ledger.purge import SqlPurge
from tests.store.conftest import MakeDatabase, refused
from tests.store.test_budgets import CENT, SECOND_NANOS, TERMS, Book, length, lose
from tests.support.counts import wrong_counts
from tests.support.servers import own_principal

ENGINEERING = team_named("engineering")
ALICE, BOB = (replace(own_principal(name), team=ENGINEERING) for name in ("alice", "bob"))


class Team:
    """A book with members of one team. `limits` are the team's; a member has none of its own."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.limits: dict[str, int] = {}
        self.budget = Budget()

    def quotas(self, who: Principal) -> Quotas:
        own = Quota(who.key, 10_000, 100_000)
        if who.team is None:
            return Quotas((own,), 10**6)
        sessions, minutes = (self.limits.get(name, UNLIMITED) for name in ("sessions", "minutes_per_day"))
        team = Quota(who.team.key, sessions, minutes, "the team", budget=self.budget, is_team=True)
        return Quotas((team, own), 10**6)

    def open(self, who: Principal = ALICE) -> Reservation:
        return self.book.confirmed(who, self.book.ledger.reserve(who, TERMS, self.quotas(who)))

    def renew(self, opened: Reservation, who: Principal = ALICE) -> Reservation:
        following = self.book.ledger.reserve_next(who, opened.session_id, 900, 120, self.quotas(who))
        return self.book.confirmed(who, following)

    def end(self, opened: Reservation, who: Principal = ALICE) -> None:
        self.book.ledger.end(who, opened.session_id, self.quotas(who))

    def usage(self) -> QuotaUsage:
        return self.book.ledger.usages(self.quotas(ALICE), TERMS.model)[0][0]

    def used(self) -> tuple[int, int]:
        usage = self.usage()
        return usage.open, usage.used_seconds

    def spent(self) -> int:
        return self.book.spent(key=ALICE.charged[0].key)

    def wrong(self) -> list[str]:
        return wrong_counts(self.book.database)


@pytest.fixture
def team(make_database: MakeDatabase) -> Team:
    return Team(Book(make_database))


@pytest.mark.parametrize(
    ("limits", "budget", "expected"),
    [
        ({"sessions": 5}, Budget(), {900: 5, "too-many-sessions": 11}),
        ({"minutes_per_day": 80}, Budget(), {900: 5, 300: 1, "minutes-exhausted": 10}),
        ({}, Budget(minutes_per_month=80), {900: 5, 300: 1, "minutes-exhausted": 10}),
        ({}, Budget(per_day=480 * CENT), {900: 5, 300: 1, "budget-exhausted": 10}),
    ],
    ids=["sessions", "minutes of a day", "minutes of a month", "budget"],
)
def test_members_share_each_limit_exactly(
    team: Team, limits: dict[str, int], budget: Budget, expected: dict[float | str, int]
) -> None:
    team.limits, team.budget = limits, budget
    members = [replace(own_principal(f"m{number}"), team=ENGINEERING) for number in range(16)]

    def ask(who: Principal) -> float | str:
        try:
            return length(team.open(who))
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(16) as threads:
        assert Counter(threads.map(ask, members)) == expected
    assert team.wrong() == []


def test_refusal_names_the_team_and_shows_no_other_member(team: Team) -> None:
    team.limits = {"sessions": 2}
    own = team.open(ALICE)
    team.open(BOB)
    refusal = refused(lambda: team.open(ALICE))
    assert str(refusal.detail).startswith("2 of 2 sessions of the team are open.")
    assert [one["id"] for one in refusal.extensions["sessions"]] == [own.session_id]
    assert [state.policy for state in refusal.limits] == ["sessions"]
    team.limits, team.budget = {}, Budget(per_day=180 * CENT, minutes_per_month=60)
    refusal = refused(lambda: team.open(ALICE))
    assert str(refusal.detail).startswith("This day's budget of the team is used up.")
    assert [state.policy for state in refusal.limits] == ["minutes_per_month"], "the money is the operator's"


def test_end_gives_places_minutes_and_money_back_to_the_team(team: Team) -> None:
    opened = team.open()
    assert (team.used(), team.spent()) == ((1, 900), 900 * SECOND_NANOS)
    team.book.later(seconds=100)
    team.end(opened)
    assert (team.used(), team.spent()) == ((0, 100), 100 * SECOND_NANOS)
    assert team.wrong() == []


def test_reports_count_for_the_team(team: Team) -> None:
    opened = team.open()
    team.book.later(seconds=600)
    report = {"input_tokens": 400_000, "input_audio_tokens": 400_000}
    team.book.reports.put(ALICE, opened.session_id, report)
    assert team.spent() == 400_000 * 3000
    assert team.wrong() == []


def test_unused_minutes_of_a_team_are_limited_together(team: Team) -> None:
    """One member talks on with tokens that it ended. The others cannot do it again with the same minutes."""
    team.limits = {"minutes_per_day": 16}
    opened = [team.open(ALICE)]
    assert team.usage().forgiven_seconds == 0
    team.end(opened[0])
    assert team.usage().forgiven_seconds == 900
    opened = [team.open(BOB)]
    assert length(opened[0]) == 60, "the team has 60 seconds left to forgive"


@pytest.mark.parametrize("how", ["void", "dead", "purged", "removed"])
def test_token_that_was_not_delivered_costs_the_team_nothing(team: Team, how: str) -> None:
    book = team.book
    SqlUsers(book.database).add(_user("alice"), actor="tests")
    reservation = book.ledger.reserve(ALICE, TERMS, team.quotas(ALICE))
    lose(book, reservation, how)
    team.budget = Budget(per_month=90 * CENT, minutes_per_month=15)
    usage = team.usage()
    assert (usage.open, usage.used_seconds) == (0, 0)
    assert [bound.used for bound in usage.bounds] == [0, 0]
    assert length(team.open(BOB)) == 900
    if how != "dead":
        assert team.wrong() == []


def test_threshold_of_a_team_is_reported_with_its_name(team: Team) -> None:
    team.budget = Budget(per_day=180 * CENT)
    with capture_logs() as lines:
        team.open()
    (line,) = (line for line in lines if line["event"] == "budget_threshold")
    assert (line["kind"], line["owner"], line["threshold"]) == ("team", "live-broker:team:engineering", 50)


def test_session_stays_with_the_team_it_was_opened_for(team: Team) -> None:
    """Alice moves to another team. The renewal costs the earlier team, which also gets the rest back."""
    opened = team.open()
    found = team.book.ledger.find(own_principal("alice"), opened.session_id)
    assert found.team == "engineering"
    moved = replace(ALICE, team=team_named("sales"))
    team.book.later(seconds=800)
    team.renew(opened, ALICE)
    assert team.used()[0] == 1
    team.open(moved)
    with team.book.database.read() as connection:
        by_team = select(sessions.c.team_key, func.count()).group_by(sessions.c.team_key)
        assert sorted(number for _, number in connection.execute(by_team)) == [1, 1]
    team.end(opened)
    assert team.used()[0] == 0
    assert team.wrong() == []


def test_unlimited_team_is_recorded(team: Team) -> None:
    quotas = Quotas((Quota(ALICE.key, 10, 100),), 100)
    team.book.confirmed(ALICE, team.book.ledger.reserve(ALICE, TERMS, quotas))
    assert team.used() == (1, 900)


def test_count_of_a_team_heals_on_the_next_day(team: Team) -> None:
    team.limits = {"sessions": 3}
    team.open()
    with team.book.database.write() as connection:
        connection.exec_driver_sql("UPDATE places SET taken = 9 WHERE owner NOT IN ('project', 'plan')")
    team.book.later(days=1)
    team.open()
    assert team.wrong() == []


def test_purge_keeps_the_name_of_a_team_that_is_in_use(team: Team) -> None:
    users, overrides = SqlUsers(team.book.database), SqlOverrides(team.book.database)
    users.add(_user("alice"), actor="tests")
    users.set_team("alice", "kept-for-alice", actor="tests")
    overrides.set("live-broker:team", "kept-for-limits", {"sessions": 1}, actor="tests")
    team.open()
    team.book.later(days=5)
    SqlPurge(team.book.database, PriceList({})).purge(team.book.now - timedelta(days=2), actor="tests")
    with team.book.database.read() as connection:
        of_teams = select(principals.c.subject).where(principals.c.issuer == "live-broker:team")
        assert set(connection.execute(of_teams).scalars()) == {"kept-for-alice", "kept-for-limits"}


def _user(name: str) -> User:
    return User(name, "hash")
