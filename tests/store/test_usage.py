"""The usage series equal the same rows counted one by one, on each database."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
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
from tests.support.prices import PRICES
from tests.support.stores import Stores
from tests.support.traffic import Traffic, make_traffic

# Not at the beginning of a bucket of any range.
NOW = datetime(2026, 11, 23, 15, 37, 41, tzinfo=UTC)
Row = Mapping[str, Any]
PRICED = "models/gemini-3.8-live"


class Witness:
    """Counts the rows one by one."""

    def __init__(self, traffic: Traffic) -> None:
        self.rows = traffic.rows
        self.open = {
            row["id"]
            for row in self.rows[sessions]
            if row["state"] == SessionState.OPEN and row["held_until"] > NOW
        }

    def issued(self, start: datetime, end: datetime) -> list[Row]:
        return [r for r in self.rows[tokens] if r["state"] == "issued" and start <= r["reserved_at"] < end]

    def refusals(self, start: datetime, end: datetime) -> Counter[str]:
        rows = self.rows[audit]
        counted: Counter[str] = Counter()
        for row in rows:
            if start <= row["at"] < end and row["outcome"] in CODES:
                counted[row["outcome"]] += row["times"]
        return counted

    def held_at(self, moment: datetime) -> int:
        """Compares whole seconds, as the series do."""
        places = [(r["opened_at"], r["held_until"]) for r in self.rows[sessions]]
        return sum(a.replace(microsecond=0) <= moment < b.replace(microsecond=0) for a, b in places)

    def reports(self, start: datetime, end: datetime) -> list[Row]:
        return [r["data"] for r in self.rows[session_reports] if start <= r["reported_at"] < end]

    def opened(self, start: datetime, end: datetime) -> list[Row]:
        return [
            r
            for r in self.rows[sessions]
            if start <= r["opened_at"] < end and r["state"] in ("open", "ended")
        ]

    def costs(self, start: datetime, end: datetime) -> Counter[str]:
        """Nanos by principal, of the sessions that have a price; each is rounded up once."""
        reports = {row["session_id"]: row["token_counts"] for row in self.rows[session_reports]}
        seconds = Counter[str]()
        for token in self.rows[tokens]:
            seconds[token["session_id"]] += token["seconds"] if token["state"] == "issued" else 0
        costs = Counter[str]()
        for row in self.opened(start, end):
            if row["model"] == PRICED:
                by_time = Fraction(seconds[row["id"]] * 23_000_000, 60)
                counts = reports.get(row["id"]) or {}
                by_tokens = counts.get("input_tokens", 0) * 3000 + counts.get("output_tokens", 0) * 12_000
                costs[row["principal_key"]] += math.ceil(max(by_time, by_tokens))
        return costs

    def seconds(self, token: Row) -> int:
        """The charged seconds; for an open session, only those that have passed."""
        so_far = max(0, math.ceil((NOW - token["covers_from"]).total_seconds()))
        charged: int = token["seconds"]
        return min(charged, so_far) if token["session_id"] in self.open else charged


def numpy_percentiles(values: Iterable[int]) -> dict[str, Any] | None:
    found = list(values)
    if not found:
        return None
    return {f"p{p}": pytest.approx(float(np.percentile(found, p))) for p in (50, 95, 99)}


@pytest.fixture
def used(make_database: MakeDatabase) -> tuple[SqlUsage, Witness]:
    database = make_database(clock=lambda: NOW)
    return SqlUsage(database, PRICES), Witness(make_traffic(database, until=NOW, days=8, sessions=1500))


def test_each_bucket_matches_its_rows(used: tuple[SqlUsage, Witness]) -> None:
    for name in RANGES:
        check_buckets(*used, name)


def check_buckets(usage: SqlUsage, witness: Witness, name: str) -> None:
    found = usage.of(name)
    seconds, count = RANGES[name]
    bounds = [*(point.at for point in found.points), found.buckets.until]
    assert len(found.points) == count
    assert {end - start for start, end in pairwise(bounds)} == {timedelta(seconds=seconds)}
    assert bounds[-2] <= NOW < bounds[-1]
    for point, (start, end) in zip(found.points, pairwise(bounds), strict=True):
        issued = witness.issued(start, end)
        assert point.tokens == len(issued)
        assert point.mint_ms == numpy_percentiles(row["mint_ms"] for row in issued)
        assert point.refusals == witness.refusals(start, end)
        answers = [data.get("speech_end_to_audio_ms") for data in witness.reports(start, end)]
        assert point.answer_ms == numpy_percentiles(ms for ms in answers if ms is not None)
        # The newest step shows the present.
        assert point.open_sessions == witness.held_at(NOW if end == bounds[-1] else start)
        assert point.seconds == sum(map(witness.seconds, issued))
        assert point.charged_seconds == sum(row["seconds"] for row in issued)
    assert max(point.open_sessions for point in found.points) >= 3, (
        "the traffic has no concurrent sessions to compare"
    )


def test_totals_match_all_rows(used: tuple[SqlUsage, Witness]) -> None:
    for name in RANGES:
        check_totals(*used, name)


def check_totals(usage: SqlUsage, witness: Witness, name: str) -> None:
    found = usage.of(name)
    start, end = found.buckets.since, found.buckets.until
    issued, reports = witness.issued(start, end), witness.reports(start, end)
    assert found.mint_ms == numpy_percentiles(row["mint_ms"] for row in issued)
    assert found.first_audio_ms == numpy_percentiles(data["first_audio_ms"] for data in reports)
    assert found.answer_ms == numpy_percentiles(data["speech_end_to_audio_ms"] for data in reports)
    assert found.answer_ms is not None
    assert found.underruns == sum(data["underruns"] for data in reports)
    by_key, charged = Counter[str](), Counter[str]()
    for row in issued:
        by_key[row["principal_key"]] += witness.seconds(row)
        charged[row["principal_key"]] += row["seconds"]
    longest = sorted(by_key.values(), reverse=True)[:MOST_USERS]
    assert [talker.seconds for talker in found.talkers] == [s for s in longest if s > 0]
    assert all(by_key[talker.key] == talker.seconds for talker in found.talkers)
    assert all(charged[talker.key] == talker.charged_seconds for talker in found.talkers)
    costs = witness.costs(start, end)
    assert found.costs.currency == "USD"
    assert found.costs.total.nanos == sum(costs.values()) > 0
    assert all(found.costs.of(talker.key).nanos == costs[talker.key] for talker in found.talkers)
    opened = witness.opened(start, end)
    unpriced = [row for row in opened if row["model"] != PRICED]
    assert found.costs.total.unpriced == len(unpriced) > 0
    assert found.costs.total.priced == len(opened) - len(unpriced)
    ids = {row["id"] for row in opened}
    set_aside = [r for r in witness.rows[session_reports] if r["session_id"] in ids and r["set_aside"]]
    assert found.costs.total.implausible == len(set_aside)


def test_unused_broker_has_empty_series(database: Database) -> None:
    found = SqlUsage(database, PRICES).of("day")
    assert {(p.tokens, p.mint_ms, p.open_sessions, p.seconds) for p in found.points} == {(0, None, 0, 0)}
    assert (found.mint_ms, found.first_audio_ms, found.underruns, found.talkers) == (None, None, 0, [])
    assert found.costs.total.amount == "0.00"


def test_percentiles_equal_numpys() -> None:
    dice = random.Random(3)
    for size in (1, 2, 3, 10, 99, 100, 101, 1000):
        values = [dice.randrange(200) for _ in range(size)]
        assert percentiles(Counter(values)) == numpy_percentiles(values)
    assert percentiles({None: 5}) is None


def test_no_query_scans_a_whole_table(stores: Stores) -> None:
    """Each statement uses an index on its time. tests.load.bench_usage measures the effect."""
    database = Database(stores.migrated("sqlite").database_url)
    executed: list[tuple[str, Any]] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        executed.append((statement, parameters))

    make_traffic(database, sessions=20)
    executed.clear()
    SqlUsage(database, PRICES).of("hour")
    statements = [(sql, values) for sql, values in executed if sql.startswith("SELECT")]
    assert len(statements) == 10
    with database.read() as connection:
        for statement, values in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            assert not [step for *_, step in plan if step.startswith("SCAN")], statement
    database.dispose()
