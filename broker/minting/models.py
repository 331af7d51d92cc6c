"""ModelDirectory: which models Google offers now, looked up once in ten minutes at most.

A model that was retired, or is not available to this key, would end every session as it connects. So the
first model of a profile that the API lists is used. The list changes over weeks; an answer is cached for
minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from broker.errors import Refusal

CACHE_SECONDS = 600.0
# Waiting callers have already been counted, so they wait rather than lose their request. Each holds a thread.
WAIT_SECONDS = 3.0
# After a failed look-up, callers that waited for it do not repeat it.
COOLDOWN_SECONDS = 2.0
REQUEST_SECONDS = 10.0


@dataclass
class _Answer:
    offered: bool
    expires_at: float


class ModelDirectory:
    """`look_up` returns whether Google offers a model, or raises `Refusal`."""

    def __init__(self, look_up: Callable[[str], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._lock = threading.Lock()
        """Never held during a look-up."""
        self._cache: dict[str, _Answer] = {}
        self._under_way: dict[str, Future[bool]] = {}
        """Model -> its look-up. One thread asks; its answer releases all that wait for it at once."""
        self._last_failure: tuple[Refusal, float] | None = None
        """The refusal, and until when it answers every look-up."""

    def first_offered(self, models: Iterable[str]) -> str:
        until = time.monotonic() + WAIT_SECONDS
        for model in models:
            if self._is_offered(model, until):
                return model
        raise Refusal("upstream-rejected", reason="Google offers none of the profile's models")

    def is_cached(self, models: Iterable[str]) -> bool:
        """Whether `first_offered` can answer from the cache, for as long as a request may take."""
        soon = self._clock() + REQUEST_SECONDS
        for model in models:
            cached = self._cache.get(model)
            if cached is None or cached.expires_at <= soon:
                return False
            if cached.offered:
                break
        return True

    def offers_none(self, models: Iterable[str]) -> bool:
        """Whether Google's last answers say that it offers none of them. It asks nothing."""
        answers = [self._cache.get(model) for model in models]
        return all(answer is not None and not answer.offered for answer in answers)

    def _is_offered(self, model: str, until: float) -> bool:
        """`until`, by the monotonic clock, a caller may wait for a look-up or begin one."""
        cached = self._cache.get(model)
        if cached and self._clock() < cached.expires_at:
            return cached.offered
        with self._lock:
            cached = self._cache.get(model)
            if cached and self._clock() < cached.expires_at:
                return cached.offered
            under_way = self._under_way.get(model)
            if under_way is None:
                if time.monotonic() >= until:
                    raise _too_slow()
                asking = self._under_way[model] = Future[bool]()
        if under_way is None:
            return self._ask(model, asking)
        # A thread with an expired answer uses that instead.
        return cached.offered if cached else _answer_of(under_way, until)

    def _ask(self, model: str, asking: Future[bool]) -> bool:
        try:
            offered = self._refresh(model)
        except BaseException as fault:
            self._end(model)
            asking.set_exception(fault if isinstance(fault, Refusal) else Refusal("upstream-error"))
            raise
        self._end(model)
        asking.set_result(offered)
        return offered

    def _end(self, model: str) -> None:
        """Callers that come from now on find the answer in the cache, or the last failure."""
        with self._lock:
            del self._under_way[model]

    def _refresh(self, model: str) -> bool:
        cached = self._cache.get(model)
        try:
            if self._last_failure and self._clock() < self._last_failure[1]:
                raise _copy(self._last_failure[0])
            offered = self._look_up(model)
        except Refusal as refusal:
            if not self._last_failure or self._clock() >= self._last_failure[1]:
                self._last_failure = (refusal, self._clock() + COOLDOWN_SECONDS)
            if cached is None:
                raise
            # If Google is down, the mint itself reports it. The expired answer is still the best one.
            cached.expires_at = self._clock() + COOLDOWN_SECONDS
            return cached.offered
        self._cache[model] = _Answer(offered, self._clock() + CACHE_SECONDS)
        return offered


def _answer_of(under_way: Future[bool], until: float) -> bool:
    try:
        return under_way.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        raise _too_slow() from None
    except Refusal as refusal:
        raise _copy(refusal) from None


def _too_slow() -> Refusal:
    return Refusal("busy", reason="waiting for the first answer about a model")


def _copy(refusal: Refusal) -> Refusal:
    """A new exception: one instance raised in several threads would mix their tracebacks."""
    return Refusal(refusal.code, reason=refusal.reason, retry_after_seconds=refusal.retry_after_seconds)
