"""WarmTokens: fills the shelves of all profiles with `warm` set, in the background.

One thread per process starts with the first request that a warm token could have answered, so never before
the fork. It starts the calls that are due, a few at a time. They have places of their own beside those of
callers, and are left out while Google fails. A failure costs no one but the shelf, which pauses.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial

import structlog

from broker.errors import Refusal
from broker.minting.minter import Minter, TokenPlan
from broker.minting.warm_shelf import Order, Shelf, WarmToken
from broker.profiles.profile import Profile

# How soon a suspension, a shutdown or the age of a token is noticed.
LOOK_SECONDS = 1.0
_log = structlog.get_logger("broker.minting")


def _in_thread(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name="warm-token", daemon=True).start()


class WarmTokens:
    def __init__(
        self,
        profiles: Iterable[Profile],
        minter: Minter,
        *,
        is_stopped: Callable[[str], bool],
        most_at_once: int,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] = _in_thread,
    ) -> None:
        """`is_stopped`: whether no token of a profile may be minted ahead now; may raise `Refusal`.

        `start` runs a call in the background. Tests pass another one, and call `tend` themselves.
        """
        self._shelves: Mapping[str, Shelf] = {one.name: Shelf(one, clock) for one in profiles if one.warm}
        self._minter = minter
        self._is_stopped = is_stopped
        self._clock = clock
        self._start = start
        self._places = threading.BoundedSemaphore(most_at_once)
        self._looked_at = float("-inf")
        self._stopped: frozenset[str] = frozenset()
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._runs = False
        self._closed = False

    def shelf(self, profile: str) -> Shelf | None:
        """None if the profile has no warm tokens."""
        return self._shelves.get(profile)

    def want(self, shelf: Shelf, plan: TokenPlan, store_time: datetime) -> None:
        """As `Shelf.want`. The shelf is filled soon."""
        shelf.want(plan, store_time)
        with self._starting:
            if not self._runs and not self._closed:
                # If the system has no thread to spare, the next request tries again.
                with suppress(RuntimeError):
                    self._start(self._run)
                    self._runs = True
        self._wake.set()

    def tend(self) -> bool:
        """Discards what must not be delivered, and starts the calls that are due.

        Returns whether there may be more to do soon.
        """
        active = [shelf for shelf in self._shelves.values() if shelf.is_active]
        if active and self._clock() - self._looked_at >= LOOK_SECONDS:
            self._look(active)
        for shelf in active:
            if shelf.profile.name in self._stopped:
                shelf.drain()
                continue
            for _ in range(shelf.missing()):
                if not self._places.acquire(blocking=False):
                    break
                self._begin(shelf)
        return bool(active)

    def close(self) -> None:
        """No more tokens are minted ahead; those that are left count as wasted."""
        with self._starting:
            self._closed = True
        for shelf in self._shelves.values():
            shelf.close()
        self._wake.set()

    def _look(self, active: Iterable[Shelf]) -> None:
        names = [shelf.profile.name for shelf in active]
        try:
            self._stopped = frozenset(name for name in names if self._is_stopped(name))
        except Refusal:  # the store does not answer, so no token can be delivered either
            self._stopped = frozenset(names)
        self._looked_at = self._clock()

    def _begin(self, shelf: Shelf) -> None:
        order = shelf.begin()
        try:
            self._start(partial(self._mint, shelf, order))
        except RuntimeError:  # the system has no thread to spare
            shelf.failed()
            self._places.release()

    def _mint(self, shelf: Shelf, order: Order) -> None:
        name = shelf.profile.name
        try:
            token = self._minter.mint_ahead(shelf.profile, order.plan, order.times)
        except Refusal as refusal:
            shelf.failed(refusal.retry_after_seconds)
            _log.warning("warm_token_failed", profile=name, code=refusal.code, reason=refusal.reason)
        except Exception:  # noqa: BLE001 - whatever it is, only the shelf pauses
            shelf.failed()
            _log.exception("warm_token_failed", profile=name, code="internal")
        else:
            shelf.add(WarmToken(**vars(order), token=token))
        finally:
            self._places.release()
            self._wake.set()

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            again = True
            try:
                again = self.tend()
            except Exception:  # noqa: BLE001 - without this thread, every request would wait for Google
                _log.exception("warm_token_failed", code="internal")
                time.sleep(LOOK_SECONDS)
            # Without demand there is nothing to do until someone asks.
            jitter = random.uniform(0.5, 1)  # noqa: S311 - nothing secret # nosec B311
            self._wake.wait(LOOK_SECONDS * jitter if again else None)
