"""Shelf: the warm tokens of one profile, minted before anyone asks, and how many of them are wanted.

Owns which token may be lent and when one is too old. Needs a clock and makes no calls: `warm` fills it. All
methods may be called from any thread. Tokens are kept in memory only, for `WARM_WAIT_SECONDS` at most.

Each token counts once: `hit` if a caller got it, otherwise `wasted`. A request that found none is a `miss`.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.minting.minter import MintedToken, TokenPlan, TokenTimes
from broker.profiles.profile import WARM_WAIT_SECONDS, Profile
from broker.telemetry.metrics import WARM_TOKENS

RECENT_SECONDS = 60.0
IDLE_SECONDS = 600.0
LONGEST_PAUSE_SECONDS = 60.0
# Tokens that were minted together are not replaced together.
_EARLIEST_END = 0.8


@dataclass(frozen=True)
class Order:
    """A token that is to be minted."""

    plan: TokenPlan
    times: TokenTimes
    best_before: float
    """By the shelf's clock. Later, less than the promised time would be left of the token."""


@dataclass(frozen=True)
class WarmToken(Order):
    token: MintedToken


class Shelf:
    def __init__(self, profile: Profile, clock: Callable[[], float]) -> None:
        """`clock` counts seconds and is never set back."""
        self.profile = profile
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: deque[WarmToken] = deque()
        self._minting = 0
        self._lent = 0
        self._wanted: deque[float] = deque(maxlen=profile.warm)
        """When the last tokens were asked for that could have been warm."""
        self._last: tuple[TokenPlan, datetime, float] | None = None
        """The plan of the last request, and the store's time at a time of `clock`."""
        self._failures = 0
        self._pause_until = float("-inf")
        self._closed = False
        self._counts = {name: WARM_TOKENS.labels(profile.name, name) for name in ("hit", "miss", "wasted")}

    def lend(self, plan: TokenPlan) -> WarmToken | None:
        """The oldest token with this plan, for one caller. Return it with `deliver` or `put_back`."""
        with self._lock:
            self._discard_unusable()
            if any(one.plan != plan for one in self._tokens):  # the profile's model has changed
                self._waste(len(self._tokens))
            if not self._tokens:
                return None
            self._lent += 1
            return self._tokens.popleft()

    @property
    def has_token(self) -> bool:
        with self._lock:
            self._discard_unusable()
            return bool(self._tokens)

    def deliver(self) -> None:
        """The lent token is reserved for its caller. No one else may get it, even if this caller does not."""
        with self._lock:
            self._lent -= 1
        self._counts["hit"].inc()

    def put_back(self, token: WarmToken) -> None:
        """The caller does not get the lent token."""
        with self._lock:
            self._lent -= 1
            self._tokens.appendleft(token)
            self._discard_unusable()

    def missed(self) -> None:
        """A caller got no warm token."""
        self._counts["miss"].inc()

    def want(self, plan: TokenPlan, store_time: datetime) -> None:
        """A caller has asked for a token that could have been warm, at `store_time` by the store's clock."""
        with self._lock:
            now = self._clock()
            self._wanted.append(now)
            self._last = (plan, store_time, now)

    def missing(self) -> int:
        """How many tokens to mint now: up to as many as the last minute has used, one in a quieter time.

        None after ten minutes without a request, and none during the pause after a failure.
        """
        with self._lock:
            self._discard_unusable()
            now = self._clock()
            if self._closed or now < self._pause_until:
                return 0
            return max(0, self._target(now) - len(self._tokens) - self._minting - self._lent)

    @property
    def is_active(self) -> bool:
        """Whether there is anything to mint or to discard, now or soon."""
        with self._lock:
            return bool(self._tokens or self._minting or (not self._closed and self._target(self._clock())))

    def begin(self) -> Order:
        """A token is being minted from now on. Follow with `add` or `failed`."""
        with self._lock:
            assert self._last is not None, "someone has asked for a token"
            self._minting += 1
            now = self._clock()
            plan, store_time, then = self._last
            waits_until = store_time + timedelta(seconds=now - then + WARM_WAIT_SECONDS)
            times = TokenTimes(
                waits_until + timedelta(seconds=self.profile.connect_within_seconds),
                waits_until + timedelta(seconds=self.profile.slice_seconds),
            )
            jitter = random.uniform(_EARLIEST_END, 1)  # noqa: S311 - nothing secret # nosec B311
            return Order(plan, times, now + WARM_WAIT_SECONDS * jitter)

    def add(self, token: WarmToken) -> None:
        """The token that was being minted."""
        with self._lock:
            self._minting -= 1
            self._failures = 0
            self._tokens.append(token)
            self._discard_unusable()

    def failed(self, retry_after_seconds: int | None = None) -> None:
        """It could not be minted. The pause doubles with each failure that follows another one."""
        with self._lock:
            self._minting -= 1
            now = self._clock()
            if now < self._pause_until:
                return  # calls that ran at the same time fail together
            self._failures += 1
            pause = min(LONGEST_PAUSE_SECONDS, 2.0**self._failures)
            pause *= random.uniform(0.5, 1)  # noqa: S311 - nothing secret # nosec B311
            self._pause_until = now + max(pause, retry_after_seconds or 0)

    def drain(self) -> None:
        """Discards all tokens."""
        with self._lock:
            self._waste(len(self._tokens))

    def close(self) -> None:
        """Discards all tokens, now and later."""
        with self._lock:
            self._closed = True
            self._waste(len(self._tokens))

    def _target(self, now: float) -> int:
        recent = sum(1 for at in self._wanted if now - at < RECENT_SECONDS)
        return recent or int(bool(self._wanted) and now - self._wanted[-1] < IDLE_SECONDS)

    def _discard_unusable(self) -> None:
        now, before = self._clock(), len(self._tokens)
        usable = [one for one in self._tokens if now < one.best_before and not self._closed]
        if len(usable) != before:
            self._tokens = deque(usable)
            self._counts["wasted"].inc(before - len(usable))

    def _waste(self, number: int) -> None:
        self._tokens.clear()
        self._counts["wasted"].inc(number)
