"""Measures the usage queries after a week of heavy use: `python -m tests.load.bench_usage [DATABASE_URL]`.

First it writes 200,000 tokens of 500 people, which takes a minute. A database that is given must be empty.
"""

from __future__ import annotations

import sys
import tempfile
import time

from broker.store.database import migrate
from broker.store.database.engine import Database
from broker.store.reporting.usage import RANGES, SqlUsage
from tests.support.prices import PRICES
from tests.support.traffic import make_traffic

SESSIONS = 190_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(sys.argv[1] if sys.argv[1:] else f"sqlite:///{folder}/usage.sqlite3", pool_size=2)
        migrate.upgrade(database)
        made = make_traffic(database, days=7, sessions=SESSIONS, users=500)
        print({table.name: len(rows) for table, rows in made.rows.items()})
        for name in RANGES:
            took = []
            for _ in range(5):
                started = time.perf_counter()
                SqlUsage(database, PRICES).of(name)
                took.append(time.perf_counter() - started)
            print(f"{name:5} median {sorted(took)[2] * 1000:6.0f} ms")
        database.dispose()


if __name__ == "__main__":
    main()
