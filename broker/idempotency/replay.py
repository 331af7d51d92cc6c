"""Repeats of `POST /token`: who is the first one, who waits for it, who gets its answer again.

Leaves to `issue` what a first request does and how its answer is told again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from broker.errors import Refusal
from broker.idempotency.record import InProgress, StoredResponse

A = TypeVar("A")

# Within a mint's time, so that one is still possible in what is left of a request's ten seconds.
WAIT_SECONDS = 4.5
_LOOK_SECONDS = 0.05


class Repeats:
    def __init__(self, max_waiting: int) -> None:
        """Each that waits takes a thread: beyond `max_waiting` of this process they shall come again."""
        self._places = threading.BoundedSemaphore(max_waiting)

    def answer(
        self,
        recall: Callable[[], StoredResponse | None],
        first: Callable[[], A],
        again: Callable[[StoredResponse], A],
    ) -> A:
        """What `first` answers, or `again` where somebody else was the first one.

        `recall` tells what that one got; it and `first` raise `InProgress` while it is not done yet.
        """

        def once() -> A:
            delivered = recall()
            return first() if delivered is None else again(delivered)

        try:
            return once()
        except InProgress:
            return self._after_a_wait(once)

    def _after_a_wait(self, once: Callable[[], A]) -> A:
        if not self._places.acquire(blocking=False):
            raise _not_done_yet()
        try:
            until = time.monotonic() + WAIT_SECONDS
            while time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
                try:
                    return once()
                except InProgress:
                    continue
        finally:
            self._places.release()
        raise _not_done_yet()


def _not_done_yet() -> Refusal:
    return Refusal("busy", "The first request with this Idempotency-Key is not answered yet.")
