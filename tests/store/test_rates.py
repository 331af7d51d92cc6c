"""Rates are exact on every storage."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import Refusal
from broker.limits.limiter import Rates, Window, create_rates
from broker.limits.policy import Allowance
from broker.settings import store_urls
from broker.store.database.engine import Database
from broker.store.ledger.rates import SqlRateStorage, rate_storage
from tests.store.conftest import MakeDatabase
from tests.support.redis import RedisServer


def outcome(rates: Rates, rate: str, key: str) -> str:
    try:
        rates.spend(rate, "token", key)
    except Refusal as refusal:
        return refusal.code
    return "ok"


def test_concurrent_threads_get_exactly_the_limit(rates: Rates) -> None:
    for _ in range(3):
        keys = [secrets.token_hex(20)] * 40
        with ThreadPoolExecutor(16) as threads:
            outcomes = list(threads.map(lambda key: outcome(rates, "5/minute", key), keys))
        assert outcomes.count("ok") == 5
        assert outcomes.count("rate-limited") == 35


def test_spend_returns_what_is_left(rates: Rates) -> None:
    key = secrets.token_hex(20)
    minute, day = rates.spend("3/minute; 10/day", "token", key)
    assert (minute.policy, minute.limit, minute.window_seconds, minute.remaining) == ("3/minute", 3, 60, 2)
    assert (day.policy, day.limit, day.window_seconds, day.remaining) == ("10/day", 10, 86400, 9)
    assert minute.reset in {59, 60}
    assert rates.exhausted("3/minute", "token", key) is None


def test_keys_and_scopes_do_not_share(rates: Rates) -> None:
    key = secrets.token_hex(20)
    assert outcome(rates, "1/minute", key) == "ok"
    assert outcome(rates, "1/minute", key) == "rate-limited"
    assert outcome(rates, "1/minute", key + "x") == "ok"
    rates.spend("1/minute", "next-token", key)


@pytest.mark.parametrize(("rate", "key"), [("", "someone"), ("10/minute", "")])
def test_empty_rate_or_key_is_an_error_instead_of_no_limit(rates: Rates, rate: str, key: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        rates.spend(rate, "token", key)


def test_window_moves_with_the_clock(make_database: MakeDatabase) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    rates = create_rates(rate_storage(make_database(clock=lambda: now[0]), None))
    assert outcome(rates, "2/minute", "k") == "ok"
    now[0] += timedelta(seconds=40)
    assert [outcome(rates, "2/minute", "k") for _ in range(2)] == ["ok", "rate-limited"]
    now[0] += timedelta(seconds=20)
    assert [outcome(rates, "2/minute", "k") for _ in range(2)] == ["ok", "rate-limited"]


def test_refusal_by_the_short_window_does_not_use_up_the_long_one(rates: Rates) -> None:
    key = secrets.token_hex(20)
    assert [outcome(rates, "5/day; 1/minute", key) for _ in range(4)] == ["ok"] + ["rate-limited"] * 3
    minute, day = rates.left("5/day; 1/minute", "token", key)
    assert (minute.remaining, day.remaining) == (0, 4)


def refusal(rates: Rates, rate: str, key: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        rates.spend(rate, "token", key)
    assert refused.value.code == "rate-limited"
    return refused.value


def test_refusal_names_the_longest_wait_and_costs_no_window(rates: Rates) -> None:
    key, rate = secrets.token_hex(20), "3/4 second; 3/minute"
    for _ in range(3):
        rates.spend(rate, "token", key)
    for _ in range(2):
        refused = refusal(rates, rate, key)
        assert refused.extensions["violated-policies"] == ["3/minute"]
        assert 50 < (refused.retry_after_seconds or 0) <= 60
    assert refused.retry_after_seconds == max(state.reset or 0 for state in refused.limits)


def test_refusal_by_a_long_window_does_not_use_up_the_short_one(rates: Rates) -> None:
    key, rate = secrets.token_hex(20), "9/second; 1/minute"
    assert outcome(rates, rate, key) == "ok"
    time.sleep(1.1)
    assert outcome(rates, rate, key) == "rate-limited"
    assert [state.remaining for state in rates.left(rate, "token", key)] == [9, 0]


@pytest.mark.parametrize("rate", ["4/minute; 4/minute", "4 per minute; 4/1 minute", "4/minute; 4/60 second"])
def test_window_that_is_written_twice_is_counted_once(rates: Rates, rate: str) -> None:
    key = secrets.token_hex(20)
    assert [outcome(rates, rate, key) for _ in range(5)] == ["ok"] * 4 + ["rate-limited"]


@pytest.mark.parametrize("hours", [-5, 5])
def test_wait_does_not_depend_on_this_hosts_clock(make_database: MakeDatabase, hours: int) -> None:
    away = timedelta(hours=hours)
    rates = create_rates(rate_storage(make_database(clock=lambda: datetime.now(UTC) + away), None))
    assert outcome(rates, "1/minute", "k") == "ok"
    assert 50 < (refusal(rates, "1/minute", "k").retry_after_seconds or 0) <= 60


def test_one_more_request_after_the_wait(make_database: MakeDatabase) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    rates = create_rates(rate_storage(make_database(clock=lambda: now[0]), None))
    for rate in ("1/7 second", "2/5 second; 3/minute"):
        granted = 0
        while outcome(rates, rate, "k") == "ok":
            granted += 1
            now[0] += timedelta(seconds=0.4)
        now[0] += timedelta(seconds=refusal(rates, rate, "k").retry_after_seconds or 0)
        assert outcome(rates, rate, "k") == "ok"


def test_lower_limit_names_the_time_until_there_is_room(make_database: MakeDatabase) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    database = make_database(clock=lambda: now[0])
    hits = SqlRateStorage("broker-sql://", database=database)
    window = Window("k", 5, 60, "5/minute", Allowance("5/minute", "token", "k"))
    for _ in range(5):
        assert hits.acquire_all([window])[0]
        now[0] += timedelta(seconds=5)
    # The times of the hits are 0, 5, 10, 15 and 20 s; it is 25 s now. With a limit of 2, four have to expire.
    oldest, count = hits.get_moving_window("k", 2, 60)
    assert count == 5
    assert time.time() - oldest == pytest.approx(10, abs=2)


def test_clock_that_is_set_back_locks_no_one_out(make_database: MakeDatabase) -> None:
    now = [datetime(2026, 1, 2, tzinfo=UTC)]
    rates = create_rates(rate_storage(make_database(clock=lambda: now[0]), None))
    assert outcome(rates, "1/minute", "k") == "ok"
    now[0] -= timedelta(days=1)
    assert outcome(rates, "1/minute", "k") == "ok"


def test_no_token_without_the_store(empty_database: Database) -> None:
    """A database without tables stands for a lost one: fail closed, with a Retry-After."""
    rates = create_rates(rate_storage(empty_database, None))
    with pytest.raises(Refusal) as refused:
        rates.spend("1/minute", "token", "k")
    assert (refused.value.code, refused.value.retry_after_seconds) == ("store-unavailable", 1)


def test_no_token_without_redis(database: Database) -> None:
    rates = create_rates(rate_storage(database, "redis://user:hush@127.0.0.1:9/0"))
    with pytest.raises(Refusal) as refused:
        rates.spend("1/minute", "token", "k")
    assert refused.value.code == "store-unavailable"
    assert "hush" not in str(refused.value.reason)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that a test may stop."""
    with RedisServer() as running:
        yield running


def test_unreachable_redis_grants_nothing_until_it_answers_again(
    database: Database, own_redis: RedisServer
) -> None:
    rates = create_rates(rate_storage(database, own_redis.database()))
    for harm, mend in ((own_redis.freeze, own_redis.thaw), (own_redis.stop, own_redis.start)):
        assert outcome(rates, "10/minute", "k") == "ok"
        rates.check()
        harm()
        start = time.monotonic()
        assert outcome(rates, "10/minute", "k") == "store-unavailable"
        with pytest.raises(Refusal, match="store-unavailable"):
            rates.check()
        assert time.monotonic() - start < 5
        mend()
    assert outcome(rates, "10/minute", "k") == "ok"


def test_redis_can_be_reached_through_a_unix_socket(database: Database, redis_server: RedisServer) -> None:
    rates = create_rates(rate_storage(database, store_urls.redis_url(f"unix://{redis_server.socket}")))
    key = secrets.token_hex(20)
    assert [outcome(rates, "1/minute", key) for _ in range(2)] == ["ok", "rate-limited"]
