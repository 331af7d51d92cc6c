"""One transaction counts and reserves: both, only the count of a refusal, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event, func, select

from broker.errors import Refusal
from broker.limits.limiter import Rates, create_rates
from broker.limits.quota import Quota, Quotas
from broker.sessions.session import SessionTerms
from broker.store.database.engine import Database
from broker.store.database.tables import audit, sessions
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.rates import rate_storage
from tests.support.servers import own_principal

ALICE = own_principal("alice")
TERMS = SessionTerms("default", "models/m", 1800, 900, 120, {})
ONE = Quotas((Quota(ALICE.key, 1, 10000),), 1000)
RATE = ("5/minute", "token", ALICE.key)


@pytest.fixture
def rates(database: Database) -> Rates:
    return create_rates(rate_storage(database, None))


def rows(database: Database, table: object) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def remaining(rates: Rates) -> int:
    return rates.left(*RATE)[0].remaining


def test_writes_are_visible_inside_and_kept(database: Database, rates: Rates) -> None:
    ledger = SqlLedger(database)
    with ledger.together():
        assert rates.spend(*RATE)[0].remaining == 4
        ledger.reserve(ALICE, TERMS, ONE)
        assert ledger.usages(ONE)[0][0].open == 1
    assert (remaining(rates), rows(database, sessions)) == (4, 1)


def test_counts_of_the_transaction_are_not_read_again(database: Database, rates: Rates) -> None:
    rates.spend(*RATE)
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    with database.together():
        assert rates.spend(*RATE)[0].remaining == 3
    assert sum("rate_windows.hits" in statement for statement in asked) == 1
    assert remaining(rates) == 3


def test_refused_request_is_counted_and_audited(database: Database, rates: Rates) -> None:
    ledger = SqlLedger(database)
    ledger.reserve(ALICE, TERMS, ONE)
    before = rows(database, audit)

    def refused() -> None:
        with ledger.together():
            rates.spend(*RATE)
            try:
                ledger.reserve(ALICE, TERMS, ONE)
            except Refusal as refusal:
                ledger.refused(ALICE, "token", refusal.code)
                raise

    with pytest.raises(Refusal, match="too-many-sessions"):
        refused()
    assert (remaining(rates), rows(database, sessions), rows(database, audit)) == (4, 1, before + 1)


def broken(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")


def crash(_: Database) -> None:
    raise RuntimeError("a mistake of ours")


@pytest.mark.parametrize("fault", [broken, crash])
def test_fault_rolls_everything_back(
    database: Database, rates: Rates, fault: Callable[[Database], None]
) -> None:
    ledger = SqlLedger(database)

    def fails() -> None:
        with ledger.together():
            rates.spend(*RATE)
            ledger.reserve(ALICE, TERMS, ONE)
            fault(database)

    with pytest.raises((Refusal, RuntimeError)):
        fails()
    assert (remaining(rates), rows(database, sessions), rows(database, audit)) == (5, 0, 0)
    ledger.reserve(ALICE, TERMS, ONE)
    assert rows(database, sessions) == 1, "the next transaction of this thread is its own"
