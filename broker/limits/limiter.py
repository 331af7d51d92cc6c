"""Rates: how many requests in how much time, on Flask-Limiter's moving windows.

The story counts explicitly, not through Flask-Limiter's decorators. There an empty key or an unreadable limit
silently removes the limit, and its headers can turn a minted token into a 500 afterwards. Here both raise.
If the store does not answer, there is no token.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.errors import StorageError

from broker.errors import Code, LimitState, Refusal
from broker.limits.policy import Allowance
from broker.telemetry.metrics import LIMITER_SECONDS, timed

_REDIS_OPTIONS = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5, "wrap_exceptions": True}


@dataclass(frozen=True)
class RateStorage:
    """Where the counters are: a URI that `limits` knows, with the options of that storage."""

    uri: str
    options: Mapping[str, Any]
    in_database: bool = False
    """Whether counting can be part of a transaction of the store."""


class Rates:
    def __init__(self, limiter: Limiter, *, in_database: bool) -> None:
        self._limiter = limiter
        self.in_database = in_database

    def spend(self, rate: str, scope: str, key: str, *, whose: str | None = None) -> list[LimitState]:
        """Count one request of `key` in `scope`; refuses `rate-limited` if any part of `rate` is used up."""
        items = _items(rate, key)
        with _store_faults():
            for item in items:
                if not self._limiter.limiter.hit(item, scope, key):
                    left = self._left(items, scope, key)
                    raise rate_refusal("rate-limited", left, _name(item), whose=whose)
            return self._left(items, scope, key)

    def spend_all(self, allowances: Sequence[Allowance]) -> list[LimitState]:
        """Count one request on each; returns what is left of the last.

        All of them are read before any is counted, so that a refusal by one does not use up the others. If
        callers race for the last request of one allowance, an earlier allowance may count too much, but
        never too little.
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
        """The state of the last one, without counting anything."""
        last = allowances[-1]
        return self.left(last.rate, last.scope, last.key)

    def exhausted(self, rate: str, scope: str, key: str) -> list[LimitState] | None:
        """The state of `rate` if nothing is left of it, without counting anything; None otherwise."""
        left = self.left(rate, scope, key)
        return left if any(part.remaining <= 0 for part in left) else None

    def left(self, rate: str, scope: str, key: str) -> list[LimitState]:
        """The state of `rate`, without counting anything."""
        with _store_faults():
            return self._left(_items(rate, key), scope, key)

    def check(self) -> None:
        """Refuses `store-unavailable` if the counters cannot be reached."""
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


def redis_storage(url: str) -> RateStorage:
    # `limits` has another scheme for a Unix socket than redis-py.
    uri = f"redis+{url}" if url.startswith("unix://") else url
    return RateStorage(uri, _REDIS_OPTIONS)


def create_rates(storage: RateStorage, app: Flask | None = None) -> Rates:
    """Flask-Limiter's moving windows in `storage`. A command that serves no requests has no `app`."""
    limiter = Limiter(
        key_func=_no_default_key,
        storage_uri=storage.uri,
        storage_options=cast(
            "dict[str, str | int]", dict(storage.options)
        ),  # its type allows no other storage
        strategy="moving-window",
        key_prefix="live-broker",
        headers_enabled=False,
        swallow_errors=False,
    )
    limiter.init_app(app or Flask("broker"))
    return Rates(limiter, in_database=storage.in_database)


def rate_refusal(
    code: Code, left: Sequence[LimitState], violated: str, *, whose: str | None = None
) -> Refusal:
    """A 429 that names the policy that is used up and the time until the next request may come."""
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
    # The shortest window first: its refusal must not use up the longer ones.
    return sorted(items, key=lambda item: item.get_expiry())


def _name(item: RateLimitItem) -> str:
    multiple = f"{item.multiples} " if item.multiples > 1 else ""
    return f"{item.amount}/{multiple}{item.GRANULARITY.name}"


def _no_default_key() -> str:
    raise ValueError("every limit names its key")


@contextmanager
def _store_faults() -> Iterator[None]:
    """Turns a fault of Redis into a refusal. The database does so itself."""
    try:
        yield
    except StorageError as fault:
        cause = type(fault.storage_error).__name__
        raise Refusal("store-unavailable", reason=f"rates: {cause}") from fault
