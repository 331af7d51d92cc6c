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
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, Self, cast

from flask import Flask
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MovingWindowSupport

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


@dataclass(frozen=True)
class Window:
    """One part of a rate, such as `10/minute`, with its counter."""

    key: str
    limit: int
    seconds: int
    policy: str
    allowance: Allowance = field(compare=False)

    @classmethod
    def of(cls, item: RateLimitItem, allowance: Allowance) -> Self:
        key = item.key_for(allowance.scope, allowance.key)
        return cls(key, item.amount, item.get_expiry(), _name(item), allowance)


# For each window: the time of the hit that has to expire before there is room, by this host's clock, and the
# number of hits.
Counts = Mapping[Window, tuple[float, int]]


class CountsTogether(Protocol):
    """A storage that counts several windows in one step."""

    def acquire_all(self, windows: Sequence[Window]) -> tuple[bool, Counts]: ...


class Rates:
    def __init__(self, limiter: Limiter, *, in_database: bool) -> None:
        self._storage = limiter.storage
        self.in_database = in_database

    def spend(self, rate: str, scope: str, key: str) -> list[LimitState]:
        """Count one request of `key` in `scope`; refuses `rate-limited` if any part of `rate` is used up."""
        return self.spend_all([Allowance(rate, scope, key)])

    def spend_all(self, allowances: Sequence[Allowance]) -> list[LimitState]:
        """Count one request on each; returns what is left of the last.

        A refusal by one uses up none of them. In the database this is exact. In Redis, if callers race for
        the last request of one window, another one may count too much, but never too little.
        """
        windows = [Window.of(item, one) for one in allowances for item in _items(one)]
        with timed(LIMITER_SECONDS), _store_faults():
            granted, counts = self._count(windows)
        left = _states(allowances, counts)
        if not granted:
            for allowance, states in zip(allowances, left, strict=True):
                if used_up(states):
                    raise rate_refusal("rate-limited", states, whose=allowance.whose)
        return left[-1]

    def left_of(self, allowances: Sequence[Allowance]) -> list[LimitState]:
        """The state of the last one, without counting anything."""
        last = allowances[-1]
        return self.left(last.rate, last.scope, last.key)

    def exhausted(self, rate: str, scope: str, key: str) -> list[LimitState] | None:
        """The state of `rate` if nothing is left of it, without counting anything; None otherwise."""
        left = self.left(rate, scope, key)
        return left if used_up(left) else None

    def left(self, rate: str, scope: str, key: str) -> list[LimitState]:
        """The state of `rate`, without counting anything."""
        allowance = Allowance(rate, scope, key)
        with _store_faults():
            return _states(
                [allowance], self._look([Window.of(item, allowance) for item in _items(allowance)])
            )[0]

    def check(self) -> None:
        """Refuses `store-unavailable` if the counters cannot be reached."""
        if not self._storage.check():
            raise Refusal("store-unavailable", reason="rates: no answer")

    def _count(self, windows: Sequence[Window]) -> tuple[bool, Counts]:
        """Whether every window had room; then all of them are counted, and otherwise none."""
        if self.in_database:
            return cast(CountsTogether, self._storage).acquire_all(windows)
        counts = self._look(windows)
        if any(counts[window][1] >= window.limit for window in windows):
            return False, counts
        moving = cast(MovingWindowSupport, self._storage)
        for window in windows:
            if not moving.acquire_entry(window.key, window.limit, window.seconds):
                start, count = counts[window]
                return False, {**counts, window: (start, max(count, window.limit))}
        return True, self._look(windows)

    def _look(self, windows: Sequence[Window]) -> Counts:
        moving = cast(MovingWindowSupport, self._storage)
        return {one: moving.get_moving_window(one.key, one.limit, one.seconds) for one in windows}


def _states(allowances: Sequence[Allowance], counts: Counts) -> list[list[LimitState]]:
    """The windows of each allowance, the shortest first."""
    now = time.time()
    return [
        [
            LimitState(
                window.policy,
                window.limit,
                max(0, window.limit - count),
                max(1, math.ceil(start + window.seconds - now)),
                window.seconds,
            )
            for window, (start, count) in counts.items()
            if window.allowance is allowance
        ]
        for allowance in allowances
    ]


def used_up(states: Sequence[LimitState]) -> list[LimitState]:
    return [state for state in states if state.remaining <= 0]


def redis_storage(url: str) -> RateStorage:
    # `limits` has another scheme for a Unix socket than redis-py.
    uri = f"redis+{url}" if url.startswith("unix://") else url
    return RateStorage(uri, _REDIS_OPTIONS)


def create_rates(storage: RateStorage) -> Rates:
    """Flask-Limiter's moving windows in `storage`."""
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
    # An app of its own: in ours, its hooks would run for each request and find nothing to do.
    limiter.init_app(Flask("limits"))
    return Rates(limiter, in_database=storage.in_database)


def rate_refusal(code: Code, left: Sequence[LimitState], *, whose: str | None = None) -> Refusal:
    """A 429 that names what is used up, and the time until a request can succeed again."""
    worst = max(used_up(left), key=lambda state: state.reset or 0)
    name = f"{worst.policy} of {whose}" if whose else worst.policy
    return Refusal(
        code,
        f"The limit {name} is used up. Try again in {worst.reset} s.",
        retry_after_seconds=worst.reset,
        limits=left,
        extensions={"violated-policies": [worst.policy]},
    )


def _items(allowance: Allowance) -> Sequence[RateLimitItem]:
    items = _parsed(allowance.rate)
    if not items or not allowance.key:
        raise ValueError("a rate limit without a rate or without a key would be no limit")
    return items


@lru_cache(maxsize=1024)
def _parsed(rate: str) -> Sequence[RateLimitItem]:
    # A window that is written twice is counted once.
    return sorted(dict.fromkeys(parse_many(rate)), key=lambda item: item.get_expiry())


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
