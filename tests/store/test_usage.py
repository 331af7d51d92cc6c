"""The series of usage against the same rows counted one by one, on each database."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from broker.errors import CODES
from broker.sessions.session import SessionState
from broker.store.database.engine import Database
from broker.store.database.tables import audit, session_reports, sessions, tokens
from broker.store.reporting.percentiles import percentiles
from broker.store.reporting.usage import MOST_USERS, RANGES, SqlUsage
from tests.store.conftest import MakeDatabase
from tests.support.stores import Stores
from tests.support.traffic import Traffic, make_traffic

# Not at the beginning of a step of any range.
NOW = datetime(2026, 11, 23, 15, 37, 41, tzinfo=UTC)
Row = Mapping[str, Any]


class Witness:
    """Looks at each row by itself."""

    def __init__(self, traffic: Traffic) -> None:
        self.rows = traffic.rows
        self.open = {
            row["id"]
            for row in self.rows[sessions]
            if row["state"] == SessionState.OPEN and row["held_until"] > NOW
        }

    def given_out(self, start: datetime, end: datetime) -> list[Row]:
        return [r for r in self.rows[tokens] if r["state"] == "issued" and start <= r["reserved_at"] < end]

    def refusals(self, start: datetime, end: datetime) -> Counter[str]:
        rows = self.rows[audit]
        return Counter(r["outcome"] for r in rows if start <= r["at"] < end and r["outcome"] in CODES)

    def held_at(self, moment: datetime) -> int:
        """To the second, as the series has it."""
        places = [(r["opened_at"], r["held_until"]) for r in self.rows[sessions]]
        return sum(a.replace(microsecond=0) <= moment < b.replace(microsecond=0) for a, b in places)

    def reports(self, start: datetime, end: datetime) -> list[Row]:
        return [r["data"] for r in self.rows[session_reports] if start <= r["reported_at"] < end]

    def seconds(self, token: Row) -> int:
        """What is charged; of an open session, what of it is over."""
        so_far = max(0, math.ceil((NOW - token["covers_from"]).total_seconds()))
        charged: int = token["seconds"]
        return min(charged, so_far) if token["session_id"] in self.open else charged


def numpy_says(values: Iterable[int]) -> dict[str, Any] | None:
    found = list(values)
    if not found:
        return None
    return {f"p{p}": pytest.approx(float(np.percentile(found, p))) for p in (50, 95, 99)}


@pytest.fixture
def used(make_database: MakeDatabase) -> tuple[SqlUsage, Witness]:
    database = make_database(clock=lambda: NOW)
    return SqlUsage(database), Witness(make_traffic(database, until=NOW, days=8, sessions=1500))


def test_each_step_is_what_its_rows_say(used: tuple[SqlUsage, Witness]) -> None:
    for name in RANGES:
        check_steps(*used, name)


def check_steps(usage: SqlUsage, witness: Witness, name: str) -> None:
    found = usage.of(name)
    seconds, count = RANGES[name]
    bounds = [*(point.at for point in found.points), found.buckets.until]
    assert len(found.points) == count
    assert {end - start for start, end in pairwise(bounds)} == {timedelta(seconds=seconds)}
    assert bounds[-2] <= NOW < bounds[-1]
    for point, (start, end) in zip(found.points, pairwise(bounds), strict=True):
        given_out = witness.given_out(start, end)
        assert point.tokens == len(given_out)
        assert point.mint_ms == numpy_says(row["mint_ms"] for row in given_out)
        assert point.refusals == witness.refusals(start, end)
        assert point.open_sessions == witness.held_at(start)
        assert point.seconds == sum(map(witness.seconds, given_out))
    assert max(point.open_sessions for point in found.points) >= 3, "nothing to tell"


def test_the_totals_are_those_of_all_steps(used: tuple[SqlUsage, Witness]) -> None:
    for name in RANGES:
        check_totals(*used, name)


def check_totals(usage: SqlUsage, witness: Witness, name: str) -> None:
    found = usage.of(name)
    start, end = found.buckets.since, found.buckets.until
    given_out, reports = witness.given_out(start, end), witness.reports(start, end)
    assert found.mint_ms == numpy_says(row["mint_ms"] for row in given_out)
    assert found.first_audio_ms == numpy_says(data["first_audio_ms"] for data in reports)
    assert found.underruns == sum(data["underruns"] for data in reports)
    by_key: Counter[str] = Counter()
    for row in given_out:
        by_key[row["principal_key"]] += witness.seconds(row)
    longest = sorted(by_key.values(), reverse=True)[:MOST_USERS]
    assert [talker.seconds for talker in found.talkers] == [s for s in longest if s > 0]
    assert all(by_key[talker.key] == talker.seconds for talker in found.talkers)


def test_of_an_unused_broker_there_is_nothing(database: Database) -> None:
    found = SqlUsage(database).of("day")
    assert {(p.tokens, p.mint_ms, p.open_sessions, p.seconds) for p in found.points} == {(0, None, 0, 0)}
    assert (found.mint_ms, found.first_audio_ms, found.underruns, found.talkers) == (None, None, 0, [])


def test_percentiles_are_those_of_numpy() -> None:
    dice = random.Random(3)
    for size in (1, 2, 3, 10, 99, 100, 101, 1000):
        values = [dice.randrange(200) for _ in range(size)]
        assert percentiles(Counter(values)) == numpy_says(values)
    assert percentiles({None: 5}) is None


def test_a_short_range_is_found_without_looking_at_the_rows_of_years(stores: Stores) -> None:
    """Each statement begins at an index of its times; measured with tests.load.bench_usage."""
    database = Database(stores.migrated("sqlite").database_url)
    asked: list[tuple[str, Any]] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        asked.append((statement, parameters))

    make_traffic(database, sessions=20)
    asked.clear()
    SqlUsage(database).of("hour")
    statements = [(sql, values) for sql, values in asked if sql.startswith("SELECT")]
    assert len(statements) == 7
    with database.read() as connection:
        for statement, values in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            assert not [step for *_, step in plan if step.startswith("SCAN")], statement
    database.dispose()
