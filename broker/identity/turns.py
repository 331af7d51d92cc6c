"""Turns: bounds how many threads do costly work, how many wait for it, and for how long; also per account."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from broker.errors import Refusal


class Turns:
    """One account works in one thread at a time. Work without an account has only the common bounds."""

    def __init__(self, *, at_once: int, waiting: int, waiting_per_account: int, wait_seconds: float) -> None:
        self._at_once = at_once
        self._max_waiting = waiting
        self._max_waiting_per_account = waiting_per_account
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._working: Counter[str | None] = Counter()
        self._waiting: Counter[str | None] = Counter()

    @contextmanager
    def turn(self, account: str | None = None) -> Iterator[None]:
        """Refuses `busy` if too many wait already, since each of them holds a thread, or after the wait."""
        with self._changed:
            if not self._is_free(account):
                self._wait(account)
            self._working[account] += 1
        try:
            yield
        finally:
            with self._changed:
                self._remove(self._working, account)
                self._changed.notify_all()

    def _wait(self, account: str | None) -> None:
        of_account = self._waiting[account] if account is not None else 0
        if self._waiting.total() >= self._max_waiting or of_account >= self._max_waiting_per_account:
            raise Refusal("busy", reason="too many password checks wait")
        self._waiting[account] += 1
        try:
            if not self._changed.wait_for(lambda: self._is_free(account), self._wait_seconds):
                raise Refusal("busy", reason="no turn for a password check in time")
        finally:
            self._remove(self._waiting, account)

    def _is_free(self, account: str | None) -> bool:
        return self._working.total() < self._at_once and not (account is not None and self._working[account])

    @staticmethod
    def _remove(counter: Counter[str | None], account: str | None) -> None:
        counter[account] -= 1
        if not counter[account]:
            del counter[account]  # anyone can name an account, so no name may stay
