"""Sessions at once, minutes a day and the project's places: exact and self-healing on each database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.limits.quota import Quota, Quotas, QuotaUsage, project_is_full
from broker.minting.minter import MintedToken
from broker.principal import Principal, end_user
from broker.sessions.session import Reservation, Session, SessionState, SessionTerms
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.unused_tokens import MOST_AT_ONCE, MOST_UNUSED
from broker.store.reporting.sessions import SqlSessions
from tests.store.conftest import MakeDatabase, refused
from tests.support.servers import own_principal

ALICE, BOB = own_principal("alice"), own_principal("bob")
KEY = Principal("live-broker:key", "k1", "shop", "default")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TERMS = SessionTerms(
    "default", "models/m", session_seconds=7200, slice_seconds=900, connect_within_seconds=120, client={}
)
JOIN_AND_GRACE = timedelta(seconds=150)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def quotas(
    principal: Principal = ALICE, *, sessions: int = 3, minutes: int = 10000, project: int = 1000
) -> Quotas:
    of = [Quota(principal.key, sessions, minutes)]
    if principal.actor:
        of.insert(0, Quota(principal.actor.key, 2, 10000, "the service key"))
    return Quotas(tuple(of), project)


class Book:
    """A ledger whose clock the test moves."""

    def __init__(self, make_database: MakeDatabase) -> None:
        self.now = NOON
        self.database = make_database(clock=lambda: self.now)
        self.ledger = SqlLedger(self.database)

    def reserve(self, who: Principal = ALICE, terms: SessionTerms = TERMS, **limits: int) -> Reservation:
        return self.ledger.reserve(who, terms, quotas(who, **limits))

    def open(self, who: Principal = ALICE, terms: SessionTerms = TERMS, **limits: int) -> Reservation:
        reservation = self.reserve(who, terms, **limits)
        self.ledger.confirm(who, reservation, MintedToken("a"))
        return reservation

    def renew(self, reservation: Reservation, who: Principal = ALICE, **limits: int) -> Reservation:
        following = self.ledger.reserve_next(who, reservation.session_id, 900, 120, quotas(who, **limits))
        self.ledger.confirm(who, following, MintedToken("b"))
        return following

    def end(self, reservation: Reservation, who: Principal = ALICE, **limits: int) -> Session:
        return self.ledger.end(who, reservation.session_id, quotas(who, **limits))

    def usage(self, who: Principal = ALICE) -> QuotaUsage:
        return self.ledger.usages(quotas(who))[0][-1]


@pytest.fixture
def book(make_database: MakeDatabase) -> Book:
    return Book(make_database)


def test_fourth_of_three_sessions_is_refused_with_the_open_ones(book: Book) -> None:
    reservations = []
    for _ in range(3):
        reservations.append(book.open())
        book.now += seconds(10)
    refusal = refused(book.open)
    assert (refusal.status, refusal.code) == (429, "too-many-sessions")
    assert refusal.extensions["violated-policies"] == ["sessions"]
    result = refusal.extensions["sessions"]
    assert [one["id"] for one in result] == [reservation.session_id for reservation in reversed(reservations)]
    assert set(result[0]) == {"id", "profile", "state", "opened_at", "ends_at", "held_until"}
    assert (result[0]["state"], result[-1]["held_until"]) == ("open", NOON + JOIN_AND_GRACE)
    assert refusal.retry_after_seconds == 120, "when the first one loses its place"
    assert (refusal.limits[0].policy, refusal.limits[0].remaining) == ("sessions", 0)
    book.end(reservations[1])
    book.open()
    assert book.open(BOB).usage.open == 1, "no one else is affected"


def test_usage_in_the_answer_includes_the_new_session(book: Book) -> None:
    reservation = book.open()
    assert (reservation.usage.open, reservation.usage.used_minutes) == (1, 15)


def test_place_of_a_vanished_client_is_free_after_the_join_window(book: Book) -> None:
    book.open(sessions=1)
    book.now += JOIN_AND_GRACE - seconds(1)
    assert refused(lambda: book.open(sessions=1)).retry_after_seconds == 1
    book.now += seconds(1)
    book.open(sessions=1)


def test_after_a_heartbeat_the_place_is_held_until_the_token_expires(book: Book) -> None:
    reservation = book.open(sessions=1)
    book.now += seconds(30)
    assert book.ledger.heartbeat(ALICE, reservation.session_id).state is SessionState.OPEN
    book.now = reservation.expires_at - seconds(1)
    assert refused(lambda: book.open(sessions=1)).code == "too-many-sessions"
    book.now = reservation.expires_at
    book.open(sessions=1)


def test_heartbeat_after_the_place_was_lost_ends_the_session(book: Book) -> None:
    reservation = book.open(sessions=1)
    book.now += JOIN_AND_GRACE
    book.open(sessions=1)
    assert book.ledger.heartbeat(ALICE, reservation.session_id).state is SessionState.ENDED
    assert refused(lambda: book.renew(reservation)).code == "session-ended"


def test_unconfirmed_reservation_frees_itself(book: Book) -> None:
    """As after `kill -9` between the reservation and the confirmation."""
    reservation = book.reserve(sessions=1, minutes=15)
    assert book.usage().used_seconds == 900
    assert refused(lambda: book.reserve(sessions=1)).code == "too-many-sessions"
    assert refused(lambda: book.reserve(sessions=2, minutes=15)).code == "minutes-exhausted"
    book.now += JOIN_AND_GRACE
    assert book.usage().used_seconds == 0
    book.open(sessions=1, minutes=15)
    # The worker was only suspended: no one could connect with its token, and its place is taken.
    assert (
        refused(lambda: book.ledger.confirm(ALICE, reservation, MintedToken("a"))).code == "upstream-timeout"
    )
    book.ledger.void(reservation, "upstream-timeout")
    assert book.usage().used_seconds == 900


def test_void_releases_place_and_minutes_at_once(book: Book) -> None:
    reservation = book.reserve(sessions=1, minutes=15)
    book.ledger.void(reservation, "upstream-error")
    assert (book.usage().open, book.usage().used_seconds) == (0, 0)
    book.open(sessions=1, minutes=15)


def test_last_token_ends_with_the_minutes_that_are_left(book: Book) -> None:
    first = book.open(minutes=20)
    second = book.open(minutes=20)
    assert second.expires_at - second.reserved_at == seconds(300)
    refusal = refused(lambda: book.open(minutes=20))
    assert (refusal.status, refusal.code) == (429, "minutes-exhausted")
    assert refusal.extensions["violated-policies"] == ["minutes_per_day"]
    assert refusal.retry_after_seconds == 12 * 3600
    assert book.usage().used_seconds == 1200
    assert first.expires_at - first.reserved_at == seconds(900)


def test_end_gives_back_unused_seconds_once(book: Book) -> None:
    reservation = book.open()
    book.now += seconds(61.5)
    for _ in range(2):
        book.end(reservation)
        assert book.usage().used_seconds == 62
        book.now += seconds(100)


def test_session_without_an_end_is_charged_in_full(book: Book) -> None:
    reservation = book.open()
    book.now = reservation.expires_at + seconds(60)
    book.end(reservation)
    assert book.usage().used_seconds == 900


def test_renewal_costs_only_the_time_beyond_the_replaced_token(book: Book) -> None:
    reservation = book.open()
    book.now += seconds(720)
    following = book.renew(reservation)
    assert book.usage().used_seconds == 720 + 900
    book.now = following.reserved_at + seconds(80)
    book.end(reservation)
    assert book.usage().used_seconds == 800, "from the first token on, by the clock"


def test_charged_time_can_be_renewed_without_a_minute_left(book: Book) -> None:
    reservation = book.open(minutes=15)
    book.now += seconds(600)
    following = book.renew(reservation, minutes=15)
    assert following.expires_at == reservation.expires_at
    assert book.usage().used_seconds == 900
    book.now = reservation.expires_at - seconds(5)
    assert refused(lambda: book.renew(reservation, minutes=15)).code == "minutes-exhausted"


def test_renewal_needs_a_free_place_only_after_its_own_is_lost(book: Book) -> None:
    reservation = book.open(sessions=1)
    book.now += seconds(100)
    book.renew(reservation, sessions=1)
    book.now += JOIN_AND_GRACE
    other = book.open(sessions=1)
    assert refused(lambda: book.renew(reservation, sessions=1)).code == "too-many-sessions"
    book.end(other)
    book.renew(reservation, sessions=1)
    assert refused(lambda: book.open(sessions=1)).code == "too-many-sessions"


def test_failed_renewal_does_not_lengthen_the_place(book: Book) -> None:
    reservation = book.open(sessions=1)
    book.now += seconds(100)
    following = book.ledger.reserve_next(ALICE, reservation.session_id, 900, 120, quotas())
    book.ledger.void(following, "upstream-error")
    assert book.usage().used_seconds == 900
    book.now += seconds(50)
    book.open(sessions=1)


def test_session_has_few_tokens_that_can_open_a_connection(book: Book) -> None:
    reservation = book.open()
    for _ in range(MOST_UNUSED - 1):
        book.now += seconds(5)
        book.renew(reservation)
    book.now += seconds(5)
    refusal = refused(lambda: book.renew(reservation))
    assert (refusal.code, refusal.retry_after_seconds) == ("rate-limited", 120 - 5 * MOST_UNUSED)
    book.now += seconds(120 - 5 * MOST_UNUSED)
    book.renew(reservation)
    assert refused(lambda: book.renew(reservation)).code == "rate-limited"


def test_session_gets_few_tokens_at_once(book: Book) -> None:
    reservation = book.open()
    book.now += seconds(10)
    for _ in range(MOST_AT_ONCE):
        book.renew(reservation)
    book.now += seconds(1)
    refusal = refused(lambda: book.renew(reservation))
    assert (refusal.code, refusal.retry_after_seconds) == ("rate-limited", 2)
    book.now += seconds(2)
    book.renew(reservation)


def test_day_begins_at_midnight_utc(book: Book) -> None:
    book.now = NOON.replace(hour=23, minute=59, second=30)
    reservation = book.open(minutes=15)
    assert reservation.expires_at - reservation.reserved_at == seconds(900), (
        "charged to the day in which it was reserved"
    )
    assert refused(lambda: book.open(minutes=15)).retry_after_seconds == 30
    book.now += seconds(30)
    assert book.usage().used_seconds == 0
    book.open(minutes=15)
    book.end(reservation)
    assert book.usage().used_seconds == 900, "the returned seconds belong to the previous day"


def test_clock_that_goes_back_gives_no_extra_minutes(book: Book) -> None:
    reservation = book.open()
    book.now -= seconds(3600)
    book.end(reservation)
    assert book.usage().used_seconds == 0
    book.now += seconds(3600)
    assert book.usage().used_seconds == 0


def test_project_has_its_own_limit_of_sessions(book: Book) -> None:
    first = book.open(project=2)
    book.open(BOB, project=2)
    for who in (ALICE, BOB):
        refusal = refused(lambda who=who: book.open(who, project=2))  # type: ignore[misc]
        assert (refusal.status, refusal.code) == (503, "project-capacity")
        assert refusal.retry_after_seconds
        assert "violated-policies" not in refusal.extensions
    assert book.ledger.usages(quotas(project=2))[1]
    book.end(first)
    book.open(BOB, project=2)


def test_users_of_a_service_key_also_share_its_limits(book: Book) -> None:
    first, second = end_user(KEY, "u1"), end_user(KEY, "u2")
    book.open(first)
    reservation = book.open(second)
    refusal = refused(lambda: book.open(end_user(KEY, "u3")))
    assert refusal.code == "too-many-sessions"
    assert "the service key" in str(refusal.detail)
    book.ledger.end(KEY, reservation.session_id, quotas(second))
    book.open(end_user(KEY, "u3"))


def test_end_by_an_operator_frees_the_place_and_returns_no_minutes(book: Book) -> None:
    reservation = book.open(sessions=1)
    assert SqlSessions(book.database).end(reservation.session_id, actor="cli:olga") == reservation.expires_at
    assert (book.usage().open, book.usage().used_seconds) == (0, 900)
    assert book.ledger.heartbeat(ALICE, reservation.session_id).state is SessionState.ENDED
    assert refused(lambda: book.renew(reservation)).code == "session-ended"
    with pytest.raises(LookupError):
        SqlSessions(book.database).end(reservation.session_id, actor="cli:olga")


def outcomes(calls: list[Callable[[], object]]) -> list[str]:
    def outcome(call: Callable[[], object]) -> str:
        try:
            call()
        except Refusal as refusal:
            return refusal.code
        return "ok"

    with ThreadPoolExecutor(16) as threads:
        return sorted(threads.map(outcome, calls))


def test_sixteen_concurrent_requests_get_exactly_three_sessions(make_database: MakeDatabase) -> None:
    ledger = SqlLedger(make_database())
    for round_number in range(15):
        who = own_principal(f"user{round_number}")
        calls = [lambda who=who: ledger.reserve(who, TERMS, quotas(who))] * 16
        assert outcomes(list(calls)) == ["ok"] * 3 + ["too-many-sessions"] * 13


def test_sixteen_concurrent_requests_get_exactly_the_minutes(make_database: MakeDatabase) -> None:
    ledger = SqlLedger(make_database())
    for round_number in range(15):
        who = own_principal(f"user{round_number}")
        mine = quotas(who, sessions=100, minutes=40)
        granted = outcomes([lambda who=who, mine=mine: ledger.reserve(who, TERMS, mine)] * 16)  # type: ignore[misc]
        assert granted == ["minutes-exhausted"] * 13 + ["ok"] * 3
        assert ledger.usages(mine)[0][0].used_seconds == 2400


def test_sixteen_concurrent_principals_get_exactly_the_projects_places(make_database: MakeDatabase) -> None:
    ledger = SqlLedger(make_database())
    people = [own_principal(f"user{number}") for number in range(16)]
    for round_number in range(1, 8):
        ceiling = 5 * round_number
        calls = [
            lambda who=who, ceiling=ceiling: ledger.reserve(
                who, TERMS, quotas(who, sessions=99, project=ceiling)
            )
            for who in people
        ]
        assert outcomes(list(calls)) == ["ok"] * 5 + ["project-capacity"] * 11


def test_reserved_places_are_kept_for_their_plan(book: Book) -> None:
    """Two of three are kept for gold: others get one, and gold gets every free one."""

    def take(who: Principal, plan: str) -> Reservation:
        of = Quotas((Quota(who.key, 10, 10000),), 3, plan, {"gold": 2})
        reservation = book.ledger.reserve(who, TERMS, of)
        book.ledger.confirm(who, reservation, MintedToken("a"))
        return reservation

    first = take(BOB, "default")
    assert refused(lambda: take(BOB, "default")).code == "project-capacity"
    take(ALICE, "gold")
    assert refused(lambda: take(BOB, "default")).code == "project-capacity"
    take(ALICE, "gold")
    assert refused(lambda: take(ALICE, "gold")).code == "project-capacity", "all three are taken"
    book.end(first, BOB)
    take(ALICE, "gold")
    assert refused(lambda: take(BOB, "default")).code == "project-capacity"


def test_reserved_places_are_kept_from_concurrent_callers(make_database: MakeDatabase) -> None:
    ledger = SqlLedger(make_database())
    people = {"default": BOB, "gold": ALICE}

    def take(plan: str) -> str:
        of = Quotas((Quota(people[plan].key, 100, 10000),), 7, plan, {"gold": 4})
        try:
            ledger.reserve(people[plan], TERMS, of)
        except Refusal as refusal:
            return refusal.code
        return plan

    with ThreadPoolExecutor(16) as threads:
        result = list(threads.map(take, ["default", "default", "gold"] * 12))
    assert result.count("gold") + result.count("default") == 7
    assert result.count("gold") >= 4


@given(
    places=st.integers(1, 9),
    reserved=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
    asks=st.lists(st.sampled_from("abcd"), max_size=30),
)
def test_each_plan_can_always_use_its_reserved_places(
    places: int, reserved: dict[str, int], asks: list[str]
) -> None:
    assume(sum(reserved.values()) <= places)
    taken: Counter[str] = Counter()
    for plan in asks:
        if not project_is_full(Quotas((), places, plan, reserved), taken):
            taken[plan] += 1
    for plan, kept in reserved.items():
        while not project_is_full(Quotas((), places, plan, reserved), taken):
            taken[plan] += 1
        assert taken[plan] >= kept
    assert taken.total() <= places


def test_reader_with_an_older_time_does_not_see_a_reservation_that_was_withdrawn(book: Book) -> None:
    """The clock of a reader is read before its statement, and another request may commit in between."""
    reservation = book.reserve()
    asked_at = book.now
    book.now += seconds(1)
    book.ledger.void(reservation, "upstream-error")
    book.now = asked_at
    assert SqlSessions(book.database).page(limit=10) == []
    assert book.ledger.placed_sessions(ALICE, 10) == []
