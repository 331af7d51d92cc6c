"""Fixtures: the store on each supported database, and the rates on each storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from broker.errors import Refusal
from broker.limits.limiter import Rates, create_rates
from broker.store.database.engine import Clock, Database
from broker.store.ledger.rates import rate_storage
from tests.support.stores import DATABASES, STORES, Stores

MakeDatabase = Callable[..., Database]


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database. Every test that uses it, directly or not, runs on each."""
    return str(request.param)


@pytest.fixture
def make_database(kind: str, stores: Stores) -> Iterator[MakeDatabase]:
    """make_database(clock=…, url=…): a database with the schema; a new one for each call without a URL."""
    made: list[Database] = []

    def make(*, url: str | None = None, clock: Clock | None = None, pool_size: int = 20) -> Database:
        url = url or stores.migrated(kind).database_url
        database = Database(url, clock=clock, pool_size=pool_size)
        made.append(database)
        return database

    yield make
    for database in made:
        database.dispose()


@pytest.fixture
def database(make_database: MakeDatabase) -> Database:
    return make_database()


@pytest.fixture
def empty_database(kind: str, stores: Stores) -> Iterator[Database]:
    """Without a schema."""
    made = Database(stores.empty(kind).database_url)
    yield made
    made.dispose()


@pytest.fixture(params=STORES)
def rates(request: pytest.FixtureRequest, stores: Stores) -> Iterator[Rates]:
    store = stores.migrated(request.param)
    database = Database(store.database_url, pool_size=20)
    yield create_rates(rate_storage(database, store.redis_url))
    database.dispose()


def refused(call: Callable[[], object]) -> Refusal:
    """The refusal that `call` raises."""
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value
