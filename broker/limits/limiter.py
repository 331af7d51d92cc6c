"""Rates: how many requests in how much time, on Flask-Limiter's moving windows.

Hit explicitly inside the story and not through decorators: an empty key or an unreadable limit makes a
decorated limit silently vanish, and its headers can turn a minted token into a 500 afterwards. Here both
raise, and a store that does not answer means no token.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import cast

from flask import Flask
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.errors import StorageError

from broker.errors import Code, LimitState, Refusal
from broker.limits.policy import Allowance
from broker.store.database.engine import Database
from broker.store.ledger.rates import SCHEME, SqlRateStorage
from broker.telemetry.metrics import LIMITER_SECONDS, timed

_REDIS_OPTIONS = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5, "wrap_exceptions": True}


class Rates:
    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self.in_database = isinstance(limiter.storage, SqlRateStorage)
        """Whether counting can be part of a transaction of the store."""

    def spend(self, rate: str, scope: str, key: str, *, whose: str | None = None) -> list[LimitState]:
        """Count one request of `key` in `scope`; refuses `rate-limited` if any part of `rate` is used up."""
        items = _items(rate, key)
        try:
            for item in items:
                if not self._limiter.limiter.hit(item, scope, key):
                    left = self._left(items, scope, key)
                    raise rate_refusal("rate-limited", left, _name(item), whose=whose)
            return self._left(items, scope, key)
        except StorageError as fault:
            raise _unavailable(fault) from fault

    def spend_all(self, allowances: Sequence[Allowance]) -> list[LimitState]:
        """Count one request on each; returns what is left of the last.

        All are looked at before any is counted, so that a refusal by one costs nothing of the others. Only
        callers that arrive at the same moment for the last place can lose one on those before it: too much
        may be counted then, never too little.
        """
        if len(allowances) > 1:
            for allowance in allowances:
                left = self.left(allowance.rate, allowance.scope, allowance.key)
                if spent := next((part for part in left if part.remaining <= 0), None):
                    raise rate_refusal("rate-limited", left, spent.policy, whose=allowance.whose)
        left = []
        with timed(LIMITER_SECONDS):
            for allowance in allowances:
                left = self.spend(allowance.rate, allowance.scope, allowance.key, whose=allowance.whose)
        return left

    def left_of(self, allowances: Sequence[Allowance]) -> list[LimitState]:
        """What is left of the last, without counting anything."""
        last = allowances[-1]
        return self.left(last.rate, last.scope, last.key)

    def exhausted(self, rate: str, scope: str, key: str) -> list[LimitState] | None:
        """The state of `rate` if nothing is left of it, without counting anything; None otherwise."""
        left = self.left(rate, scope, key)
        return left if any(part.remaining <= 0 for part in left) else None

    def left(self, rate: str, scope: str, key: str) -> list[LimitState]:
        """The state of `rate`, without counting anything."""
        try:
            return self._left(_items(rate, key), scope, key)
        except StorageError as fault:
            raise _unavailable(fault) from fault

    def check(self) -> None:
        """Refuses while the counters cannot be reached."""
        if not self._limiter.storage.check():
            raise Refusal("store-unavailable", reason="rates: no answer")

    def _left(self, items: Sequence[RateLimitItem], scope: str, key: str) -> list[LimitState]:
        left = []
        for item in items:
            window = self._limiter.limiter.get_window_stats(item, scope, key)
            reset = max(1, math.ceil(window.reset_time - time.time()))
            remaining = max(0, window.remaining)
            left.append(LimitState(_name(item), item.amount, remaining, reset, item.get_expiry()))
        return left


def create_limiter(app: Flask, database: Database, redis_url: str | None) -> Limiter:
    """Flask-Limiter over Redis where there is one, else over the database. Both are exact."""
    options = _REDIS_OPTIONS if redis_url else {"database": database}
    limiter = Limiter(
        key_func=_no_default_key,
        storage_uri=_storage_uri(redis_url) if redis_url else f"{SCHEME}://",
        storage_options=cast("dict[str, str | int]", options),  # its type knows nothing of other storages
        strategy="moving-window",
        key_prefix="live-broker",
        headers_enabled=False,
        swallow_errors=False,
    )
    limiter.init_app(app)
    return limiter


def rates_without_app(database: Database, redis_url: str | None) -> Rates:
    """The same counters for a command that serves no requests."""
    return Rates(create_limiter(Flask("broker"), database, redis_url))


def rate_refusal(
    code: Code, left: Sequence[LimitState], violated: str, *, whose: str | None = None
) -> Refusal:
    """A 429 that says which policy was used up and when the next request may come."""
    reset = next(part.reset for part in left if part.policy == violated)
    return Refusal(
        code,
        f"The limit {violated}{f' of {whose}' if whose else ''} is used up. Try again in {reset} s.",
        retry_after_seconds=reset,
        limits=left,
        extensions={"violated-policies": [violated]},
    )


def _items(rate: str, key: str) -> list[RateLimitItem]:
    items = parse_many(rate)
    if not items or not key:
        raise ValueError("a rate limit without a rate or without a key would be no limit")
    # The shortest window first: a refusal by it must not cost anything of the longer ones.
    return sorted(items, key=lambda item: item.get_expiry())


def _name(item: RateLimitItem) -> str:
    multiple = f"{item.multiples} " if item.multiples > 1 else ""
    return f"{item.amount}/{multiple}{item.GRANULARITY.name}"


def _storage_uri(redis_url: str) -> str:
    """redis-py's own name for a Unix socket is not the one that `limits` knows."""
    return f"redis+{redis_url}" if redis_url.startswith("unix://") else redis_url


def _no_default_key() -> str:
    raise ValueError("every limit names its key")


def _unavailable(fault: StorageError) -> Refusal:
    return Refusal("store-unavailable", reason=f"rates: {type(fault.storage_error).__name__}")
