"""Exports of many users: exact, in memory that does not grow, and sent piece by piece.

`tests.load.bench_export` runs the same code with a million sessions.
"""

from __future__ import annotations

import csv
import tracemalloc
from contextlib import ExitStack

import pytest

from broker.standin import StandIn
from broker.store.database.engine import Database
from broker.store.reporting.dimensions import By
from tests.conftest import MakeBroker
from tests.load.bench_export import export, fill, of_rows
from tests.support.stores import DATABASES, Stores


@pytest.mark.parametrize("kind", DATABASES)
def test_sums_of_an_export_are_those_of_the_ledger(stores: Stores, kind: str) -> None:
    database = Database(stores.migrated(kind).database_url)
    fill(database, count=6000, users=2500)
    expected: list[tuple[By, int]] = [("user", 2501), ("day", 366)]
    for by, rows in expected:
        found = export(database, by)
        assert found.pop("rows") in (rows, rows - 1)
        assert found == of_rows(database)
    database.dispose()


def test_memory_does_not_grow_with_the_number_of_users(stores: Stores) -> None:
    peaks = []
    for users in (1500, 6000):
        database = Database(stores.migrated("sqlite").database_url)
        fill(database, count=users, users=users)
        export(database, "day")  # everything is in the sums
        tracemalloc.start()
        assert export(database, "user")["sessions"] == users
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        database.dispose()
    assert peaks[1] < 1.5 * peaks[0], peaks


def test_export_that_nobody_reads_blocks_no_one(standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, threads=2)
    broker.add_user("olga", roles=["operator"])
    fill(broker.database, count=20_000, users=20_000)
    headers = {"Authorization": f"Bearer {broker.bearer('olga')}"}
    path = "/admin/usage/export?by=user&from=2020-01-01"
    with ExitStack() as open_now:
        clients = [open_now.enter_context(broker.client()) for _ in range(5)]
        streams = [
            open_now.enter_context(client.stream("GET", path, headers=headers)) for client in clients[1:]
        ]
        assert {stream.headers["transfer-encoding"] for stream in streams} == {"chunked"}
        assert clients[0].get("/me", headers=headers).status_code == 200
        rows = list(csv.DictReader(streams[0].iter_lines()))
        assert sum(int(row["sessions"]) for row in rows) == 20_000
        assert clients[0].get("/me", headers=headers).status_code == 200
