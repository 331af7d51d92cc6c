"""Ends that are believed: what honest people lose, and what a client gains that ends and talks on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from broker.errors import Refusal
from broker.principal import Principal, end_user
from broker.sessions.session import Reservation, SessionState
from broker.store.database.engine import Database
from broker.store.reporting.sessions import SqlSessions
from tests.store.conftest import MakeDatabase
from tests.store.world import World
from tests.support.servers import own_principal
from tests.support.stores import Stores

ALICE = own_principal("alice")
SHOP = Principal("live-broker:key", "k1", "shop", "default")
# The shipped plan `default`.
PLAN = {"places": 2, "minutes": 60}
FULL, SHORT = 900, 30


@pytest.fixture
def world(make_database: MakeDatabase) -> World:
    made: World = World(make_database(clock=lambda: made.now))
    return made


@pytest.fixture
def one_day(stores: Stores) -> Iterator[World]:
    """For many steps: on SQLite alone."""
    database = Database(stores.migrated("sqlite").database_url, pool_size=1, clock=lambda: made.now)
    made: World = World(database)
    made.now = made.now.replace(hour=1)
    yield made
    database.dispose()


def life(reservation: Reservation) -> float:
    return (reservation.expires_at - reservation.reserved_at).total_seconds()


def talk(world: World, seconds: float, who: Principal = ALICE, **limits: int) -> Reservation:
    """A short conversation that is ended, as the page does it when it is closed."""
    reservation = world.open(who, **{**PLAN, **limits})
    world.later(seconds)
    world.end(who, reservation.session_id, **{**PLAN, **limits})
    return reservation


def charged(world: World, who: Principal = ALICE) -> int:
    return world.usage(who).used_seconds


def test_forty_short_conversations_and_thirty_reloads_in_an_hour_lock_no_one_out(one_day: World) -> None:
    """In the shipped plan. Each one starts at once, and the day's minutes are hardly touched."""
    began, lengths = one_day.now, []
    for _ in range(70):
        lengths.append(life(talk(one_day, 5)))
        one_day.later(45)
    assert one_day.now - began <= timedelta(hours=1)
    assert lengths[:2] == [FULL, FULL], "one early end is no habit"
    assert min(lengths) == SHORT
    assert charged(one_day) <= 15 * 60, "350 s were talked"
    assert one_day.places(ALICE) == 0
    assert charged(one_day) + one_day.usage(ALICE).forgiven_seconds == sum(lengths)


def test_reloads_in_quick_succession_wait_at_most_half_a_minute(one_day: World) -> None:
    """When nothing more is forgiven, an ended conversation holds its place until its short token expires."""
    for _ in range(80):
        waited = 0
        while True:
            try:
                talk(one_day, 2)
                break
            except Refusal as refusal:
                waited += refusal.retry_after_seconds or 10**6
                one_day.later(refusal.retry_after_seconds or 0)
        assert waited <= SHORT
    assert charged(one_day) < 60 * 60


def test_conversation_that_outlasts_a_short_token_gets_longer_ones(world: World) -> None:
    """Nothing is left to forgive: two ends of long tokens have used it up."""
    limits = {**PLAN, "forgiven": 0}
    first = world.open(ALICE, **limits)
    tokens, renewed = [first], first
    world.ledger.heartbeat(ALICE, first.session_id)
    for _ in range(8):
        world.later(life(renewed) / 2 if life(renewed) <= SHORT else life(renewed) * 0.8)
        renewed = world.renew(ALICE, first.session_id, **limits)
        world.ledger.heartbeat(ALICE, first.session_id)
        tokens.append(renewed)
    assert [life(one) for one in tokens[:3]] == [SHORT, 60, 63]
    assert life(tokens[-1]) > 300, "few tokens for a long conversation"
    talked = (world.now - first.reserved_at).total_seconds()
    world.end(ALICE, first.session_id, **limits)
    held = world.row(first.session_id).held_until
    assert (held - world.now).total_seconds() <= talked
    assert charged(world) <= 2 * talked + 60, "an end that is not believed costs as much again at most"


def test_app_that_never_ends_keeps_its_full_tokens(world: World) -> None:
    """An app that uses Google's SDK alone neither renews nor ends. It has paid for all of each token."""
    for _ in range(4):
        assert life(world.open(ALICE, places=1, minutes=60)) == FULL
        world.later(FULL)


def test_chosen_length_is_kept(world: World) -> None:
    for _ in range(5):
        talk(world, 5)
    assert life(world.open(ALICE, **PLAN)) < 120
    assert life(world.open(ALICE, chosen=FULL, **PLAN)) == FULL


def test_end_that_does_not_fit_is_charged_and_holds_its_place(world: World) -> None:
    limits = {**PLAN, "forgiven": 10, "places": 1}
    reservation = world.open(ALICE, chosen=FULL, **limits)
    world.later(10)
    ended = world.end(ALICE, reservation.session_id, **limits)
    assert ended.state is SessionState.ENDED
    assert ended.held_until == world.row(reservation.session_id).held_until > world.now
    assert charged(world) == FULL
    with pytest.raises(Refusal) as caught:
        world.open(ALICE, **limits)
    (listed,) = caught.value.extensions["sessions"]
    assert (listed["id"], listed["state"]) == (reservation.session_id, "ended")
    assert listed["held_until"] == ended.held_until
    world.now = ended.held_until
    world.open(ALICE, **limits)


def test_place_of_an_unbelieved_end_is_free_when_its_token_expires(world: World) -> None:
    """Not later: without a heartbeat it would be held for 30 s more."""
    limits = {**PLAN, "forgiven": 0}
    reservation = world.open(ALICE, **limits)
    assert world.end(ALICE, reservation.session_id, **limits).held_until == reservation.expires_at
    expired = world.open(ALICE, **limits)
    world.now = expired.expires_at
    assert world.places(ALICE) == 1, "the first heartbeat may be on its way"
    world.end(ALICE, expired.session_id, **limits)
    assert world.places(ALICE) == 0


def test_end_just_after_midnight_counts_for_the_day_of_its_token(world: World) -> None:
    limits = {"places": 9, "minutes": 60, "forgiven": 16}
    world.now = world.now.replace(hour=23, minute=59, second=50)
    sessions = [world.open(ALICE, **limits).session_id for _ in range(2)]
    world.later(20)
    free = [world.end(ALICE, one, **limits).held_until <= world.now for one in sessions]
    assert free == [True, False]
    fresh = world.open(ALICE, **limits)
    assert life(fresh) == FULL, "a new day"
    assert world.end(ALICE, fresh.session_id, **limits).held_until <= world.now


def test_users_of_a_key_are_not_forgiven_more_than_the_key(world: World) -> None:
    free = []
    for number in range(3):
        who = end_user(SHOP, f"u{number}")
        reservation = world.open(who, chosen=FULL, forgiven=20)
        ended = world.ledger.end(SHOP, reservation.session_id, world.quotas(who, forgiven=20))
        free.append(ended.held_until <= world.now)
    assert free == [True, False, False]


@pytest.mark.parametrize(("forgiven", "again"), [(10, 0), (4, 300)])
def test_replacement_counts_as_forgiven_time(world: World, forgiven: int, again: int) -> None:
    """Both tokens could be in use at once. What does not fit is charged again."""
    reservation = world.open(ALICE, chosen=FULL, forgiven=forgiven)
    world.later(300)
    assert life(world.renew(ALICE, reservation.session_id, forgiven=forgiven)) == 300
    assert (charged(world), world.usage(ALICE).forgiven_seconds) == (FULL + again, 300 - again)


def test_operators_end_forgives_nothing(world: World) -> None:
    reservation = world.open(ALICE, **PLAN)
    SqlSessions(world.database).end(reservation.session_id, actor="tests")
    usage = world.usage(ALICE)
    assert (usage.open, usage.used_seconds, usage.forgiven_seconds) == (0, FULL, 0)
    assert world.end(ALICE, reservation.session_id, **PLAN).state is SessionState.ENDED
    assert world.usage(ALICE).forgiven_seconds == 0


def test_failed_mint_forgives_nothing(world: World) -> None:
    reservation = world.open(ALICE, **PLAN)
    world.later(300)
    following = world.ledger.reserve_next(ALICE, reservation.session_id, FULL, 120, world.quotas(ALICE))
    assert world.usage(ALICE).forgiven_seconds == 600
    world.ledger.void(following, "upstream-error")
    assert world.usage(ALICE).forgiven_seconds == 0


@pytest.mark.parametrize("forgiven", [60, 30, 0])
def test_client_that_ends_and_talks_on_gains_exactly_what_is_forgiven(one_day: World, forgiven: int) -> None:
    """It uses every token to its last second, and reports an end as soon as it has one."""
    limits, usable = {"places": 99, "minutes": PLAN["minutes"], "forgiven": forgiven}, 0.0
    while one_day.usage(ALICE).used_seconds < 60 * PLAN["minutes"]:
        reservation = one_day.open(ALICE, chosen=FULL, **limits)
        one_day.end(ALICE, reservation.session_id, **limits)
        usable += life(reservation)
    assert usable == 60 * (PLAN["minutes"] + forgiven)


@pytest.mark.parametrize("forgiven", [60, 0])
def test_no_mixture_of_ends_and_renewals_gains_more(one_day: World, forgiven: int) -> None:
    usable = sum(_tokens_of_a_liar(one_day, random.Random(forgiven), forgiven))
    assert 50 * PLAN["minutes"] < usable <= 60 * (PLAN["minutes"] + forgiven)


def _tokens_of_a_liar(world: World, dice: random.Random, forgiven: int) -> Iterator[float]:
    """The lives of the tokens that it gets within a day, in seconds."""
    limits, opened = {"places": 5, "minutes": PLAN["minutes"], "forgiven": forgiven}, list[str]()
    for _ in range(300):
        act = dice.choice(["open", "open", "renew", "end", "end", "wait"])
        try:
            if act == "open":
                reservation = world.open(ALICE, chosen=dice.choice([None, 30, FULL]), **limits)
                opened = [*opened[-4:], reservation.session_id]
                yield life(reservation)
            elif act == "renew" and opened:
                yield life(world.renew(ALICE, dice.choice(opened), **limits))
            elif act == "end" and opened:
                world.end(ALICE, dice.choice(opened), **limits)
            elif act == "wait":
                world.later(dice.choice([0.5, 5, 60]))
        except Refusal:
            world.later(60)


def test_two_ends_at_once_are_not_both_forgiven_the_same_minutes(make_database: MakeDatabase) -> None:
    database: Database = make_database()
    world = World(database)
    limits = {"forgiven": 16}
    with ThreadPoolExecutor(8) as threads:
        for _ in range(10):
            who = world.someone()
            sessions = [world.open(who, chosen=FULL, **limits).session_id for _ in range(4)]
            list(threads.map(lambda one, who=who: world.end(who, one, **limits), sessions))
            assert world.places(who) == 3, "only one of them fits"
            assert world.usage(who).forgiven_seconds <= 16 * 60
