"""The sums of usage by day equal the rows, on each database: whatever sessions, reports and purges do."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from broker.errors import CODES, Refusal
from broker.operators.usage_export import Format, lines
from broker.principal import Principal, end_user
from broker.sessions.cost import cost_of
from broker.sessions.session import SessionState
from broker.settings import PriceList
from broker.settings.amounts import amount
from broker.store.database.engine import Database
from broker.store.database.tables import audit, sessions
from broker.store.ledger.purge import SqlPurge
from broker.store.ledger.usage_sums import UsageSums
from broker.store.reporting.dimensions import By
from broker.store.reporting.exports import SqlExport
from tests.store.conftest import MakeDatabase
from tests.store.world import TERMS, World
from tests.support.prices import price
from tests.support.servers import own_principal
from tests.support.traffic import make_traffic

PRICES = PriceList({"m": (price(),), "gemini-3.8-live": (price(),)})
ALICE, BOB = own_principal("alice"), own_principal("bob")
SHOP = Principal("live-broker:key", "k1", "shop", "default")
LONG_AGO, FAR = date(2000, 1, 1), date(2999, 1, 1)
EVERY: tuple[By, ...] = ("user", "key", "profile", "model", "day")
DAY = timedelta(days=1)


@pytest.fixture
def world(make_database: MakeDatabase) -> World:
    made: World = World(make_database(clock=lambda: made.now))
    return made


def exported(
    database: Database,
    by: By,
    since: date = LONG_AGO,
    until: date = FAR,
    prices: PriceList = PRICES,
    form: Format = "jsonl",
) -> list[dict[str, Any]]:
    export = SqlExport(database, UsageSums(database, prices), prices)
    text = "".join(lines(export, by, since, until, form))
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return [json.loads(line) for line in text.splitlines()]


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over all rows. Amounts are in nanos."""
    refusals: Counter[str] = Counter()
    for row in rows:
        refusals.update(row["refusals"])
    names = ("sessions", "seconds", "input_tokens", "output_audio_tokens", "unpriced_sessions")
    cost = sum(round(float(row["cost"] or 0) * 10**9) for row in rows)
    return {**{name: sum(row[name] for row in rows) for name in names}, "cost": cost, "refusals": refusals}


def of_rows(world: World) -> dict[str, Any]:
    """The same from the ledger, its reports and the audit log, one session at a time."""
    found: dict[str, Any] = defaultdict(int)
    for row in world.operator.page(placed_only=False, limit=10_000):
        if row.state in (SessionState.OPEN, SessionState.ENDED):
            found["sessions"] += 1
            found["seconds"] += row.issued_seconds
            for name in ("input_tokens", "output_audio_tokens"):
                found[name] += (row.counts or {}).get(name, 0)
            cost = cost_of(PRICES, row.model, row.opened_at, row.issued_seconds, row.counts)
            found["cost"] += cost.nanos if cost else 0
            found["unpriced_sessions"] += cost is None
    refusals: Counter[str] = Counter()
    with world.database.read() as connection:
        for entry in connection.execute(select(audit.c.outcome, audit.c.times)):
            if entry.outcome in CODES:
                refusals[entry.outcome] += entry.times
    return {**{name: found[name] for name in totals([])}, "refusals": refusals}


def agree(world: World) -> dict[str, Any]:
    """Checks that each export has the sums of the rows, and returns them."""
    expected = of_rows(world)
    for by in EVERY:
        assert totals(exported(world.database, by)) == expected, by
    return expected


def test_sums_follow_a_session_from_its_first_token_to_its_last_report(world: World) -> None:
    session = world.open(ALICE).session_id
    assert agree(world)["seconds"] == 900
    world.later(300)
    world.reports.put(ALICE, session, {"input_tokens": 1000})
    assert agree(world)["input_tokens"] == 1000
    world.later(420)
    world.renew(ALICE, session)
    world.later(60)
    world.end(ALICE, session)
    assert agree(world)["seconds"] == 780
    # A report may come for ten minutes after the end.
    world.later(599)
    world.reports.put(ALICE, session, {"input_tokens": 2_000_000, "output_audio_tokens": 100})
    assert agree(world)["output_audio_tokens"] == 100
    world.later(3 * 3600)
    agree(world)
    assert world.row(session).settled
    assert world.row(session).summed is None
    assert agree(world)["sessions"] == 1


def test_sessions_that_lapse_or_never_were_are_settled_too(world: World) -> None:
    lapsed = world.open(ALICE).session_id
    given_up = world.ledger.reserve(BOB, *_terms(world, BOB)).session_id
    failed = world.ledger.reserve(BOB, *_terms(world, BOB))
    world.ledger.void(failed, "upstream-error")
    world.ledger.refused(BOB, "token", "upstream-error", failed.session_id)
    assert agree(world)["sessions"] == 1
    world.later(3 * 3600)
    found = agree(world)
    assert (found["sessions"], found["seconds"], found["refusals"]) == (1, 900, {"upstream-error": 1})
    assert all(world.row(one).settled for one in (lapsed, given_up, failed.session_id))
    (row,) = [one for one in exported(world.database, "model") if one["model"] == "models/m"]
    assert row["refusals"] == {"upstream-error": 1}  # it had a session, hence a model


def _terms(world: World, who: Principal) -> Any:
    return TERMS, world.quotas(who)


def test_sums_outlive_a_purge(world: World) -> None:
    for who in (ALICE, BOB, end_user(SHOP, "u1"), SHOP):
        session = world.open(who).session_id
        world.reports.put(who, session, {"input_tokens": 500_000})
        world.ledger.refused(who, "token", "rate-limited")
    world.later(3 * 86400)
    before = {by: exported(world.database, by) for by in EVERY if by != "user"}
    expected = of_rows(world)
    purge = SqlPurge(world.database, PRICES)
    assert purge.purge(world.now - 2 * DAY, actor="tests").sessions == 4
    assert of_rows(world)["sessions"] == 0
    assert {by: exported(world.database, by) for by in before} == before
    users = exported(world.database, "user")
    assert totals(users) == expected
    # Their names went with the sessions. Their keys stay: the figures of a year need them.
    assert {(row["key"], row["subject"]) for row in users} == {
        (who.key, "") for who in (ALICE, BOB, end_user(SHOP, "u1"), SHOP)
    }
    world.later(500 * 86400)
    purge.purge(world.now - 2 * DAY, actor="tests")
    assert exported(world.database, "user") == []


def test_purge_sums_what_no_export_has_summed(world: World) -> None:
    world.open(ALICE)
    world.ledger.refused(ALICE, "token", "rate-limited")
    expected = of_rows(world)
    world.later(3 * 86400)
    SqlPurge(world.database, PRICES).purge(world.now - 2 * DAY, actor="tests")
    assert totals(exported(world.database, "day")) == expected


def test_sums_equal_the_rows_of_random_use(world: World) -> None:
    dice = random.Random(11)
    people = [ALICE, BOB, end_user(SHOP, "u1"), SHOP]
    running: list[tuple[Principal, str]] = []
    for step in range(120):
        world.later(dice.choice([1, 30, 400, 3000]))
        who = dice.choice(people)
        match dice.randrange(5):
            case 0 | 1:
                running.append((who, world.open(who).session_id))
            case 2 if running:
                owner, session = running.pop(dice.randrange(len(running)))
                world.end(owner, session)
                running.append((owner, session))
            case 3 if running:
                _report(world, *dice.choice(running), dice.randrange(400_000))
            case _:
                world.ledger.refused(who, "token", dice.choice(["rate-limited", "minutes-exhausted"]))
        if step % 12 == 0:
            agree(world)
    world.later(86400)
    agree(world)
    with world.database.read() as connection:
        assert connection.execute(select(sessions.c.id).where(~sessions.c.settled)).all() == []


def _report(world: World, who: Principal, session: str, tokens: int) -> None:
    with suppress(Refusal):  # the session is over
        world.reports.put(who, session, {"input_tokens": tokens})


def test_rows_name_users_keys_profiles_models_and_days(world: World) -> None:
    world.open(ALICE)
    world.open(end_user(SHOP, "u1"))
    world.open(SHOP)
    world.ledger.refused(end_user(SHOP, "u1"), "token", "too-many-sessions")
    world.ledger.refused(own_principal("unknown"), "token", "rate-limited")
    users = {row["subject"]: row for row in exported(world.database, "user")}
    assert (users["alice"]["issuer"], users["alice"]["sessions"]) == ("live-broker", 1)
    assert (users["u1"]["issuer"], users["u1"]["refusals"]) == (
        "live-broker:key:k1",
        {"too-many-sessions": 1},
    )
    assert (users[""]["key"], users[""]["refusals"]) == ("", {"rate-limited": 1})
    keys = {row["id"]: (row["sessions"], row["refusals"]) for row in exported(world.database, "key")}
    assert keys == {"": (1, {"rate-limited": 1}), "k1": (2, {"too-many-sessions": 1})}
    assert [row["day"] for row in exported(world.database, "day")] == ["2026-01-01"]


def test_days_are_those_of_the_opening_in_utc_and_both_ends_count(world: World) -> None:
    days = []
    for _ in range(3):
        days.append(world.now.date())
        world.open(ALICE)
        world.later(86400)
    assert [row["day"] for row in exported(world.database, "day")] == [f"{day}" for day in days]
    assert totals(exported(world.database, "user", days[0], days[1]))["sessions"] == 2
    assert totals(exported(world.database, "user", days[2], days[2]))["sessions"] == 1
    assert exported(world.database, "user", days[2] + DAY, FAR) == []


def test_cost_is_fixed_when_the_session_is_settled(world: World) -> None:
    world.open(ALICE)
    dearer = PriceList({"m": (price(per_minute=46_000),)})
    cheap = exported(world.database, "day")[0]["cost"]
    assert exported(world.database, "day", prices=dearer)[0]["cost"] == amount(2 * 345_000_000) != cheap
    assert exported(world.database, "day")[0]["cost"] == cheap == "0.345"
    world.later(86400)
    exported(world.database, "day")
    assert exported(world.database, "day", prices=dearer)[0]["cost"] == cheap


def test_unknown_cost_is_empty_and_not_zero(world: World) -> None:
    world.open(ALICE)
    (row,) = exported(world.database, "day", prices=PriceList({}))
    assert (row["cost"], row["unpriced_sessions"], row["currency"]) == (None, 1, None)
    (cells,) = exported(world.database, "day", prices=PriceList({}), form="csv")
    assert (cells["cost"], cells["unpriced_sessions"]) == ("", "1")


def test_csv_has_the_same_figures_and_runs_no_formula(world: World) -> None:
    for name in ("=1+1", "+1", "-1", "@sum", "\t=1", 'a"b,c', "plain"):
        world.open(Principal("https://idp.example", name, name, "default"))
    world.ledger.refused(ALICE, "token", "rate-limited")
    rows = exported(world.database, "user", form="csv")
    named = {row["subject"] for row in rows}
    assert named == {"'=1+1", "'+1", "'-1", "'@sum", "'\t=1", 'a"b,c', "plain", ""}
    plain = exported(world.database, "user")
    assert [int(row["seconds"]) for row in rows] == [row["seconds"] for row in plain]
    assert sum(int(row["refused_rate_limited"]) for row in rows) == 1


def test_any_number_of_users_comes_in_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.store.reporting.exports._PAGE", 3)
    monkeypatch.setattr("broker.store.ledger.usage_sums.AT_ONCE", 4)
    people = [world.someone() for _ in range(11)]
    for person in people:
        world.open(person)
    rows = exported(world.database, "user")
    assert [row["key"] for row in rows] == sorted(person.key for person in people)
    agree(world)


def test_workers_that_settle_at_once_count_once(make_database: MakeDatabase) -> None:
    database = make_database()
    make_traffic(database, days=1, sessions=1500, users=20)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: UsageSums(database, PRICES).update(), range(4)))
    assert agree(World(database))["sessions"] > 1000
