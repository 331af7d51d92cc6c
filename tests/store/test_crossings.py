"""Every pair of the store's transactions that could disturb each other, interleaved statement by statement.

SQLite's single writer hides such faults, so this runs on PostgreSQL. Each schedule of a pair is different. A
failure names its number, and each number is always played in the same way. CROSSINGS=2000 plays so many.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from broker.errors import Refusal
from broker.idempotency.encryption import TokenCipher
from broker.idempotency.key import IdempotencyKey
from broker.idempotency.record import GIVEN_UP, InProgress
from broker.idempotency.replay import KeyedReservations
from broker.limits.policy import Allowance
from broker.minting.minter import MintedToken
from broker.principal import Principal, end_user, team_named
from broker.sessions.session import Reservation, SessionState, TokenState
from broker.store.database.engine import Database
from broker.store.ledger.unused_tokens import MOST_AT_ONCE
from tests.store.crossing import Crossings
from tests.store.world import TERMS, World
from tests.support.counts import wrong_counts
from tests.support.stores import Stores

SCHEDULES = int(os.environ.get("CROSSINGS", "12"))
STEPS = 40
WORLD_OF = 50
"""So many schedules run in one world."""
Act = Callable[[], Any]
Check = Callable[[list[Any]], None]


@pytest.fixture(scope="module")
def world(stores: Stores) -> Iterator[World]:
    database = Database(stores.migrated("postgresql").database_url, pool_size=6, clock=lambda: made.now)
    made = World(database)
    yield made
    database.dispose()


@pytest.fixture(scope="module")
def crossings(world: World) -> Crossings:
    return Crossings(world.database)


def granted(outcomes: list[Any]) -> int:
    return sum(not isinstance(outcome, str) for outcome in outcomes)


def expect(number: int, refusal: str) -> Check:
    """That many are granted, and each other one is refused so."""

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == number, outcomes
        assert {outcome for outcome in outcomes if isinstance(outcome, str)} <= {refusal}, outcomes

    return check


def rate_of_a_returning_caller(world: World) -> tuple[Act, Act, Check]:
    """A new caller's request deletes expired windows while their owner comes back."""
    key, rate = secrets.token_hex(8), "3/3 second"
    for _ in range(3):
        world.rates.spend(rate, "token", key)
    world.later(10)

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 2, outcomes
        assert world.rates.left(rate, "token", key)[0].remaining == 2

    return (
        lambda: world.rates.spend(rate, "token", key),
        lambda: world.rates.spend(rate, "token", secrets.token_hex(8)),
        check,
    )


def last_request_of_a_rate(world: World) -> tuple[Act, Act, Check]:
    key = secrets.token_hex(8)
    act = partial(world.rates.spend, "1/3 second; 5/minute", "token", key)
    return act, act, expect(1, "rate-limited")


def refused_window_costs_the_others_nothing(world: World) -> tuple[Act, Act, Check]:
    key, rate = secrets.token_hex(8), "5/3 second; 1/minute"

    def check(outcomes: list[Any]) -> None:
        expect(1, "rate-limited")(outcomes)
        assert [part.remaining for part in world.rates.left(rate, "token", key)] == [4, 0]

    act = partial(world.rates.spend, rate, "token", key)
    return act, act, check


def last_place_of_a_person(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    act = partial(world.open, who, places=1)
    return act, act, expect(1, "too-many-sessions")


def last_place_of_a_key(world: World) -> tuple[Act, Act, Check]:
    key = Principal("live-broker:key", secrets.token_hex(8), "shop", "default")
    users = [end_user(key, f"user{number}") for number in range(2)]
    first, second = (partial(world.open, who, places=1) for who in users)
    return first, second, expect(1, "too-many-sessions")


def members(world: World) -> list[Principal]:
    team = team_named("t" + secrets.token_hex(8))
    return [replace(world.someone(), team=team) for _ in range(2)]


def last_place_of_a_team(world: World) -> tuple[Act, Act, Check]:
    first, second = (partial(world.open, who, places=1) for who in members(world))
    return first, second, expect(1, "too-many-sessions")


def end_of_a_member_and_session_of_another(world: World) -> tuple[Act, Act, Check]:
    one, other = members(world)
    session = world.open(one, places=1).session_id

    def check(outcomes: list[Any]) -> None:
        assert outcomes[1] in {"too-many-sessions"} or granted(outcomes) == 2, outcomes

    return lambda: world.end(one, session), lambda: world.open(other, places=1), check


def ends_of_two_members_for_the_same_forgiveness(world: World) -> tuple[Act, Act, Check]:
    one, other = members(world)
    sessions = [world.open(who, chosen=900).session_id for who in (one, other)]
    first, second = (
        partial(world.end, who, session, forgiven=15)
        for who, session in zip((one, other), sessions, strict=True)
    )

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 2, outcomes
        forgiven = [token.forgiven for one in sessions for token in world.tokens(one, TokenState.ISSUED)]
        assert sorted(forgiven) == [0, 900]

    return first, second, check


def key_in_a_team_for_itself_and_for_its_user(world: World) -> tuple[Act, Act, Check]:
    team = team_named("t" + secrets.token_hex(8))
    key = Principal("live-broker:key", secrets.token_hex(8), "shop", "default", team=team)
    return lambda: world.open(key), lambda: world.open(end_user(key, "user")), expect(2, "")


def shared_window_and_expired_windows_of_members(world: World) -> tuple[Act, Act, Check]:
    """A new member's request deletes expired windows, among them that of a member who comes back."""
    team, one, other = (secrets.token_hex(8) for _ in range(3))

    def ask(who: str) -> Any:
        shared, own = Allowance("9/minute", "token", team), Allowance("3/3 second", "token", who)
        return world.rates.spend_all([shared, own])

    ask(one)
    world.later(10)
    return lambda: ask(one), lambda: ask(other), expect(2, "")


def last_minutes_of_a_person(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    act = partial(world.open, who, minutes=15)
    return act, act, expect(1, "minutes-exhausted")


def last_place_of_the_project(world: World) -> tuple[Act, Act, Check]:
    world.free_everything()
    first, second = (partial(world.open, world.someone(), project=1) for _ in range(2))
    return first, second, expect(1, "project-capacity")


def end_and_the_next_session(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who, places=1).session_id

    def check(outcomes: list[Any]) -> None:
        assert outcomes[1] in {"too-many-sessions"} or granted(outcomes) == 2, outcomes
        assert world.places(who) <= 1
        assert world.row(session).held_until <= world.now

    return lambda: world.end(who, session), lambda: world.open(who, places=1), check


def _ended_and_free(world: World, session: str) -> Check:
    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes[1:]) == 1, outcomes
        assert not isinstance(outcomes[0], str) or outcomes[0] == "session-ended", outcomes
        row = world.row(session)
        assert row.state == SessionState.ENDED
        assert row.held_until <= world.now, "an ended session keeps a place"
        assert world.tokens(session, TokenState.RESERVED) == []

    return check


def heartbeat_and_end(world: World, *, earlier: bool = False) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who).session_id
    if earlier:
        world.ledger.heartbeat(who, session)
    world.later(30)
    return (
        lambda: world.ledger.heartbeat(who, session),
        lambda: world.end(who, session),
        _ended_and_free(world, session),
    )


def later_heartbeat_and_end(world: World) -> tuple[Act, Act, Check]:
    return heartbeat_and_end(world, earlier=True)


def heartbeat_and_an_operators_end(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who).session_id
    return (
        lambda: world.ledger.heartbeat(who, session),
        lambda: world.operator.end(session, actor="olga"),
        _ended_and_free(world, session),
    )


def renewal_and_end(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who).session_id
    world.later(60)
    return (
        lambda: world.renew(who, session),
        lambda: world.end(who, session),
        _ended_and_free(world, session),
    )


def renewal_and_an_operators_end(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who).session_id
    world.ledger.heartbeat(who, session)
    return (
        lambda: world.renew(who, session),
        lambda: world.operator.end(session, actor="olga"),
        _ended_and_free(world, session),
    )


def two_ends(world: World) -> tuple[Act, Act, Check]:
    """The unused seconds come back once."""
    who = world.someone()
    session = world.open(who).session_id
    world.later(60)

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 2, outcomes
        assert world.ledger.usages(world.quotas(who))[0][-1].used_seconds == 60
        assert world.places(who) == 0

    act = partial(world.end, who, session)
    return act, act, check


def two_ends_for_the_same_forgiveness(world: World) -> tuple[Act, Act, Check]:
    """Two sessions, and only what one of them leaves unused can be forgiven."""
    who = world.someone()
    first, second = (world.open(who, chosen=900).session_id for _ in range(2))

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 2, outcomes
        assert world.places(who) == 1, "exactly one of them is believed"
        assert world.usage(who).forgiven_seconds == 900

    return (
        lambda: world.end(who, first, forgiven=16),
        lambda: world.end(who, second, forgiven=16),
        check,
    )


def end_and_renewal_for_the_same_forgiveness(world: World) -> tuple[Act, Act, Check]:
    """An end and the overlap of another session's renewal."""
    who = world.someone()
    first, second = (world.open(who, chosen=900).session_id for _ in range(2))
    world.later(60)

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 2, outcomes
        usage = world.usage(who)
        assert 0 < usage.forgiven_seconds <= 15 * 60
        assert usage.used_seconds + usage.forgiven_seconds >= 1800

    return (
        lambda: world.end(who, first, forgiven=15),
        lambda: world.renew(who, second, forgiven=15),
        check,
    )


def renewal_and_first_heartbeat(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who).session_id
    world.later(60)

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 2, outcomes
        row, issued = world.row(session), world.tokens(session, TokenState.ISSUED)
        world.ledger.heartbeat(who, session)
        assert world.row(session).held_until == max(token.expires_at for token in issued)
        assert row.held_until > world.now

    return lambda: world.renew(who, session), lambda: world.ledger.heartbeat(who, session), check


def renewals_in_parallel(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who).session_id
    world.later(60)
    for _ in range(MOST_AT_ONCE - 1):
        world.renew(who, session)

    def check(outcomes: list[Any]) -> None:
        expect(1, "rate-limited")(outcomes)
        assert len(world.tokens(session, TokenState.ISSUED)) == 1 + MOST_AT_ONCE

    act = partial(world.renew, who, session)
    return act, act, check


def failed_renewal_and_first_heartbeat(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who).session_id
    pending = world.ledger.reserve_next(who, session, 900, 120, world.quotas(who))

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 2, outcomes
        [issued] = world.tokens(session, TokenState.ISSUED)
        world.ledger.heartbeat(who, session)
        assert world.row(session).held_until == issued.expires_at

    return (
        lambda: world.ledger.void(pending, "upstream-error"),
        lambda: world.ledger.heartbeat(who, session),
        check,
    )


def report_and_end(world: World) -> tuple[Act, Act, Check]:
    who = world.someone()
    session = world.open(who).session_id
    return (
        lambda: world.reports.put(who, session, {"drops": 1}),
        lambda: world.end(who, session),
        expect(2, "session-ended"),
    )


def two_reports(world: World) -> tuple[Act, Act, Check]:
    """One is kept, and the caller of the other one knows that it is not."""
    who = world.someone()
    session = world.open(who).session_id
    world.later(60)
    reports = [{"input_tokens": 1000}, {"input_tokens": 999}]

    def check(outcomes: list[Any]) -> None:
        assert sorted(map(str, outcomes)) == ["None", "{}"], outcomes
        (row,) = (row for row in world.operator.page(principal_key=who.key, limit=1))
        assert row.report == row.counts == reports[outcomes.index({})]

    return (
        lambda: world.reports.put(who, session, reports[0]),
        lambda: world.reports.put(who, session, reports[1]),
        check,
    )


def _begin(world: World, key: str) -> Act:
    def act() -> Any:
        try:
            found = world.records.begin(IdempotencyKey(key, "body", "header"))
        except InProgress:
            return "in progress"
        return found

    return act


def two_requests_with_one_idempotency_key(world: World) -> tuple[Act, Act, Check]:
    act = _begin(world, secrets.token_hex(16))
    return act, act, expect(1, "in progress")


def returning_idempotency_key_and_a_new_one(world: World) -> tuple[Act, Act, Check]:
    """A request with a new key deletes expired records while one of them is taken anew."""
    old = secrets.token_hex(16)
    _begin(world, old)()
    world.later(7 * 24 * 3600)
    world.free_everything()

    def check(outcomes: list[Any]) -> None:
        # Deleted after the first look, and before the lock: the caller looks again.
        again = [_begin(world, old)() if outcome == "in progress" else outcome for outcome in outcomes]
        assert granted(again) == 2, outcomes
        assert _begin(world, old)() == "in progress"

    return _begin(world, old), _begin(world, secrets.token_hex(16)), check


def slow_request_and_the_repeat_that_takes_over(world: World) -> tuple[Act, Act, Check]:
    """Only one of the two delivers a token, however late the first one is."""
    who, key = world.someone(), IdempotencyKey(secrets.token_hex(16), "body", "header")
    first = KeyedReservations(key, world.ledger, world.records, TokenCipher([b"k" * 32]))
    first.begin()
    reservation = first.reserve(who, TERMS, world.quotas(who))
    world.later(GIVEN_UP.total_seconds())

    def confirm() -> Reservation:
        try:
            first.confirm(who, reservation, MintedToken(secrets.token_hex(8)))
        except Refusal as refusal:
            first.void(reservation, refusal.code)
            raise
        return reservation

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 1, outcomes
        delivered = len(world.tokens(reservation.session_id, TokenState.ISSUED))
        assert delivered == (0 if isinstance(outcomes[0], str) else 1)
        assert world.places(who) == delivered

    return confirm, _begin(world, key.key), check


def suspend_and_resume(world: World) -> tuple[Act, Act, Check]:
    world.suspensions.set("before", None, renewals=False, actor="olga")

    def check(outcomes: list[Any]) -> None:
        assert granted(outcomes) == 2, outcomes
        found = world.suspensions.current()
        assert found is None or found.reason == "after"

    return (
        lambda: world.suspensions.set("after", None, renewals=False, actor="olga"),
        lambda: world.suspensions.lift(actor="olga"),
        check,
    )


PAIRS = (
    rate_of_a_returning_caller,
    last_request_of_a_rate,
    refused_window_costs_the_others_nothing,
    last_place_of_a_person,
    last_place_of_a_key,
    last_place_of_a_team,
    end_of_a_member_and_session_of_another,
    ends_of_two_members_for_the_same_forgiveness,
    key_in_a_team_for_itself_and_for_its_user,
    shared_window_and_expired_windows_of_members,
    last_minutes_of_a_person,
    last_place_of_the_project,
    end_and_the_next_session,
    heartbeat_and_end,
    later_heartbeat_and_end,
    heartbeat_and_an_operators_end,
    renewal_and_end,
    renewal_and_an_operators_end,
    two_ends,
    two_ends_for_the_same_forgiveness,
    end_and_renewal_for_the_same_forgiveness,
    renewal_and_first_heartbeat,
    renewals_in_parallel,
    failed_renewal_and_first_heartbeat,
    report_and_end,
    two_reports,
    two_requests_with_one_idempotency_key,
    returning_idempotency_key_and_a_new_one,
    slow_request_and_the_repeat_that_takes_over,
    suspend_and_resume,
)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.__name__)
def test_crossing_transactions_keep_every_promise(
    world: World, crossings: Crossings, pair: Callable[[World], tuple[Act, Act, Check]]
) -> None:
    for seed in range(SCHEDULES):
        if seed % WORLD_OF == 0:
            world.start_anew()
        first, second, check = pair(world)
        outcomes = crossings.run([first, second], schedule(seed))
        try:
            check(outcomes)
            assert wrong_counts(world.database) == []
        except AssertionError as fault:
            raise AssertionError(f"schedule {seed}: {outcomes}") from fault


def schedule(seed: int) -> list[int]:
    """Half of them change once from one to the other, at each place by turns; the others at random."""
    if seed % 2 == 0:
        return [seed // 2 % 2] * (seed // 4) + [1 - seed // 2 % 2] * STEPS
    random_choice = random.Random(seed)
    return [random_choice.randrange(2) for _ in range(STEPS)]
