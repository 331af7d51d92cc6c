"""Which models Google offers now, asked at most every few minutes.

A model that was retired, or is not open to this key, would end every session as it connects; so the first of
a profile's models that the API lists is used. The list changes over weeks, the answer is kept for minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broker.errors import Refusal

KEEP_SECONDS = 600.0
# Those who wait have been counted already, so they wait rather than lose it; but each takes a thread.
WAIT_SECONDS = 3.0
# A failed look-up is not repeated by everybody who waits for it.
COOL_SECONDS = 2.0
REQUEST_SECONDS = 10.0


@dataclass
class _Known:
    offered: bool
    until: float


class ModelDirectory:
    """`ask` tells whether Google offers a model, or raises `Refusal`."""

    def __init__(self, ask: Callable[[str], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._failed: tuple[Refusal, float] | None = None

    def first_offered(self, models: Iterable[str]) -> str:
        for model in models:
            if self._offered(model):
                return model
        raise Refusal("upstream-rejected", reason="Google offers none of the profile's models")

    def knows(self, models: Iterable[str]) -> bool:
        """Whether `first_offered` needs to ask nobody, for as long as a request may take."""
        soon = self._clock() + REQUEST_SECONDS
        for model in models:
            known = self._known.get(model)
            if known is None or known.until <= soon:
                return False
            if known.offered:
                break
        return True

    def _offered(self, model: str) -> bool:
        known = self._known.get(model)
        if known and self._clock() < known.until:
            return known.offered
        # One asks, the others wait for the answer; but who has an old answer goes on with it.
        if not self._lock.acquire(timeout=0 if known else WAIT_SECONDS):
            if known is None:
                raise Refusal("busy", reason="the first answer about a model is awaited")
            return known.offered
        try:
            return self._refresh(model)
        finally:
            self._lock.release()

    def _refresh(self, model: str) -> bool:
        known = self._known.get(model)
        if known and self._clock() < known.until:
            return known.offered
        try:
            if self._failed and self._clock() < self._failed[1]:
                raise _again(self._failed[0])
            offered = self._ask(model)
        except Refusal as refusal:
            if not self._failed or self._clock() >= self._failed[1]:
                self._failed = (refusal, self._clock() + COOL_SECONDS)
            if known is None:
                raise
            # The mint itself will tell if Google is away; the old answer is still the best one.
            known.until = self._clock() + COOL_SECONDS
            return known.offered
        self._known[model] = _Known(offered, self._clock() + KEEP_SECONDS)
        return offered


def _again(refusal: Refusal) -> Refusal:
    """A fresh exception: one instance raised in several threads would mix their tracebacks."""
    return Refusal(refusal.code, reason=refusal.reason, retry_after_seconds=refusal.retry_after_seconds)
