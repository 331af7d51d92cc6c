"""Measures exports of a year with a million sessions: `python -m tests.load.bench_export [URL] [SESSIONS]`.

It writes the sessions of 100,000 users, which takes minutes, and exports them by user with the code of the
command: first with none of them in the sums by day, then with all. It compares the sums with the ledger's. A
database that is given must be empty.
"""

from __future__ import annotations

import csv
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import cast

from sqlalchemy import TextClause, func, select, text

from broker.operators.usage_export import lines
from broker.store.database import migrate
from broker.store.database.engine import Database
from broker.store.database.tables import audit, session_reports, sessions, tokens
from broker.store.ledger.usage_sums import UsageSums
from broker.store.reporting.dimensions import By
from broker.store.reporting.exports import SqlExport
from tests.support.prices import PRICES

USERS = 100_000
YEAR = timedelta(days=365)


def fill(database: Database, count: int, users: int = USERS) -> None:
    """Sessions of ten minutes, evenly over the users and the year: half of them with a report."""
    begin = (datetime.now(UTC) - YEAR - timedelta(days=1)).replace(tzinfo=None)
    values = {"begin": begin, "count": count, "users": users, "apart": YEAR.total_seconds() / count}
    with database.write() as connection:
        for statement in _SQLITE if database.is_sqlite else _POSTGRESQL:
            connection.execute(statement, {name: values[name] for name in statement._bindparams})


# `{at}`: when session `i` began; `{number}`: in 32 digits; `{user}`: the number of its user.
_ROWS = """
INSERT INTO principals (key, issuer, subject)
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :users - 1)
    SELECT 'user' || i, 'live-broker', 'user' || i FROM n;
INSERT INTO sessions (id, principal_key, plan, profile, model, client, state, opened_at, ends_at, held_until)
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1)
    SELECT 'ses_' || i, {user}, 'default', 'default', 'models/gemini-3.8-live', '{{}}', 'ended',
        {at}, {at}, {at} FROM n;
INSERT INTO tokens (id, session_id, principal_key, state, reserved_at, connect_by, expires_at, covers_from,
        seconds)
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1)
    SELECT 'tok_' || i, 'ses_' || i, {user}, 'issued', {at}, {at}, {at}, {at}, 300 + i % 300 FROM n;
INSERT INTO session_reports (session_id, reported_at, data, token_counts)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 2 FROM n WHERE i < :count - 2)
    SELECT 'ses_' || i, {at}, '{{}}', {counts} FROM n;
INSERT INTO audit (at, actor, action, outcome, times)
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 50 FROM n WHERE i < :count - 50)
    SELECT {at}, 'live-broker:' || {user}, 'token', 'rate-limited', 1 + i % 3 FROM n
"""
_COUNTS = """'{{"input_tokens": ' || (i % 400000) || ', "output_audio_tokens": ' || (i % 9000) || '}}'"""


def _statements(at: str, counts: str) -> list[TextClause]:
    filled = _ROWS.format(at=at, user="'user' || (i * 7919 % :users)", counts=counts)
    # A colon within JSON is no parameter.
    return [text(one.replace('": ', '"\\: ')) for one in filled.split(";")]


_SQLITE = _statements(
    "strftime('%Y-%m-%d %H:%M:%f000', :begin, '+' || (i * :apart) || ' seconds')", _COUNTS.format()
)
_POSTGRESQL = _statements(
    "CAST(:begin AS timestamp) + i * :apart * interval '1 second'", f"CAST({_COUNTS.format()} AS json)"
)


def export(database: Database, by: By) -> dict[str, int]:
    """Reads the CSV as it comes, and keeps its sums only."""
    source = SqlExport(database, UsageSums(database, PRICES), PRICES)
    until = datetime.now(UTC).date()
    pieces = lines(source, by, date(2000, 1, 1), until, "csv")
    sums = {"rows": 0, "sessions": 0, "seconds": 0, "input_tokens": 0, "refusals": 0}
    for row in csv.DictReader(_each_line(pieces)):
        sums["rows"] += 1
        for name in sums.keys() - {"rows"}:
            sums[name] += int(row[name])
    return sums


def _each_line(pieces: Iterator[str]) -> Iterator[str]:
    for piece in pieces:
        yield from piece.splitlines(keepends=True)


def of_rows(database: Database) -> dict[str, int]:
    with database.read() as connection:
        counts = session_reports.c.token_counts["input_tokens"].as_integer()
        refused = select(func.sum(audit.c.times)).where(audit.c.outcome == "rate-limited")
        found = {
            "sessions": select(func.count()).select_from(sessions),
            "seconds": select(func.sum(tokens.c.seconds)),
            "input_tokens": select(func.sum(counts)),
            "refusals": refused,
        }
        return {name: int(connection.execute(query).scalar_one() or 0) for name, query in found.items()}


def megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    count = int(sys.argv[2]) if sys.argv[2:] else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if sys.argv[1:] else f"sqlite:///{folder}/usage.sqlite3"
        database = Database(url, pool_size=2)
        migrate.upgrade(database)
        started = time.perf_counter()
        fill(database, count)
        print(f"{count} sessions written in {time.perf_counter() - started:.0f} s", flush=True)
        for what, by in (("first export, by user", "user"), ("by user", "user"), ("by day", "day")):
            before, started, cpu = megabytes(), time.perf_counter(), time.process_time()
            found = export(database, cast(By, by))
            took, busy = time.perf_counter() - started, time.process_time() - cpu
            more = megabytes() - before
            print(f"{what}: {took:.1f} s, {busy:.1f} s of CPU, {more:.0f} MB more, {found}", flush=True)
            assert {name: found[name] for name in found.keys() - {"rows"}} == of_rows(database)
        database.dispose()


if __name__ == "__main__":
    main()
