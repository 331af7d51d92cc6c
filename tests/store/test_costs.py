"""What sessions cost, from the rows that the ledger and the reports leave: on each database."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from broker.principal import Principal, end_user
from broker.sessions.cost import cost_of, time_nanos, token_nanos
from broker.sessions.token_counts import CONTEXT_WINDOW, Counts, used
from broker.settings import PriceList
from broker.store.reporting.costs import Costs
from broker.store.reporting.sessions import SessionRow
from broker.store.reporting.usage import SqlUsage
from tests.store.conftest import MakeDatabase
from tests.store.world import TERMS, World
from tests.support.prices import price
from tests.support.servers import own_principal

PRICE = price()
PRICES = PriceList({"m": (PRICE,)})
ALICE = own_principal("alice")
SHOP = Principal("live-broker:key", "k1", "shop", "default")


@pytest.fixture
def world(make_database: MakeDatabase) -> World:
    made: World = World(make_database(clock=lambda: made.now))
    return made


def rows(world: World) -> list[SessionRow]:
    return world.operator.page(placed_only=False, limit=1000)


def nanos(row: SessionRow) -> int:
    cost = cost_of(PRICES, row.model, row.opened_at, row.issued_seconds, row.counts)
    assert cost is not None
    return cost.nanos


def summed(world: World) -> Costs:
    return SqlUsage(world.database, PRICES).of("week").costs


def test_tokens_that_nobody_got_cost_nothing(world: World) -> None:
    """A reservation of a worker that died, one that failed, and a renewal of each kind."""
    world.ledger.reserve(ALICE, TERMS, world.quotas(ALICE))
    world.ledger.void(world.ledger.reserve(ALICE, TERMS, world.quotas(ALICE)), "upstream-error")
    session = world.open(ALICE).session_id
    world.later(600)
    world.ledger.reserve_next(ALICE, session, 900, 120, world.quotas(ALICE))
    failed = world.ledger.reserve_next(ALICE, session, 900, 120, world.quotas(ALICE))
    world.ledger.void(failed, "upstream-error")
    (row,) = rows(world)
    assert nanos(row) == time_nanos(PRICE, 900)
    assert (summed(world).total.nanos, summed(world).total.priced) == (time_nanos(PRICE, 900), 1)


def test_time_that_two_tokens_cover_costs_once(world: World) -> None:
    session = world.open(ALICE).session_id
    world.later(720)
    world.renew(ALICE, session)
    assert nanos(rows(world)[0]) == time_nanos(PRICE, 720 + 900)
    world.later(300)
    world.end(ALICE, session)
    assert nanos(rows(world)[0]) == time_nanos(PRICE, 1020) == summed(world).total.nanos


def test_end_that_is_not_believed_costs_the_whole_token(world: World) -> None:
    session = world.open(ALICE).session_id
    world.later(60)
    world.end(ALICE, session, forgiven=0)
    assert nanos(rows(world)[0]) == time_nanos(PRICE, 900)


def test_users_of_a_service_key_have_the_cost(world: World) -> None:
    world.open(end_user(SHOP, "u1"))
    world.open(end_user(SHOP, "u2"))
    costs = summed(world)
    assert {len(costs.by_key), costs.total.priced} == {2}
    assert costs.of(end_user(SHOP, "u1").key).nanos == time_nanos(PRICE, 900)
    assert costs.of(SHOP.key).nanos == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_reports_at_any_time_cost_what_is_defined(world: World, seed: int) -> None:
    """Compared with a second reading of the definition: reports of each kind, repeats, ends and renewals."""
    dice = random.Random(seed)
    people = [own_principal(f"p{number}") for number in range(3)]
    best: dict[str, Counts] = {}
    flagged: set[str] = set()
    owner = {}
    for _ in range(5):
        who = dice.choice(people)
        session = world.open(who).session_id
        owner[session], opened_at = who, world.now
        sent: list[Mapping[str, int]] = []
        for _ in range(dice.randint(0, 5)):
            world.later(dice.randint(2, 130))
            report = dice.choice(sent) if sent and dice.random() < 0.4 else _report(dice)
            sent.append(report)
            world.reports.put(who, session, report)
            elapsed = (world.now - opened_at).total_seconds()
            total = report["input_tokens"] + report["output_audio_tokens"]
            if total > CONTEXT_WINDOW * elapsed or report["output_audio_tokens"] > 250 * elapsed:
                flagged.add(session)
            elif total > used(best.get(session, {})):
                best[session] = report
        if dice.random() < 0.3:
            world.renew(who, session)
        if dice.random() < 0.7:
            world.end(who, session)
    listed = rows(world)
    assert len(listed) == 5
    for row in listed:
        counts = best.get(row.id, {})
        assert nanos(row) == max(time_nanos(PRICE, row.seconds), token_nanos(PRICE, counts))
        assert bool(row.problems) == (row.id in flagged)
    costs = summed(world)
    assert costs.total.nanos == sum(map(nanos, listed))
    assert costs.total.implausible == len(flagged)
    for who in people:
        assert costs.of(who.key).nanos == sum(nanos(row) for row in listed if owner[row.id] == who)


def _report(dice: random.Random) -> dict[str, int]:
    sound = dice.choice([10, 1000, 20_000, 300_000])
    return {
        "input_tokens": dice.choice([1000, 100_000, 10**7]),
        "output_tokens": sound,
        "output_audio_tokens": sound,
        "underruns": dice.randint(0, 3),
    }
