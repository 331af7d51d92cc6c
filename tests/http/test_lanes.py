"""Requests that wait for a thread: those for a token leave the queue when it is known that Google hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from broker.errors import Refusal
from broker.http.lanes import Busy, Lanes, places_for_waiting

THREADS = 4
PLACES = places_for_waiting(THREADS)
TOKEN, NEXT_TOKEN = ("POST", "/token"), ("POST", "/sessions/s1/token")
ISSUER = ("GET", "/auth/oidc/callback")


class Google:
    """Hangs until `answer`. While `is_open`, the breaker would refuse a call."""

    def __init__(self) -> None:
        self.is_open = False
        self.asked = 0
        self._answers = threading.Event()
        self.lanes = Lanes(THREADS, self._check)

    def _check(self) -> None:
        if self.is_open:
            raise Refusal("upstream-timeout", retry_after_seconds=2)

    def answer(self) -> None:
        self._answers.set()

    def request(self, method: str, path: str) -> asyncio.Task[str]:
        return asyncio.ensure_future(self.lanes.run(method, path, self._call, has_left=lambda: False))

    def _call(self) -> str:
        self.asked += 1
        assert self._answers.wait(30)
        return "answered"

    async def fill(self) -> list[asyncio.Task[str]]:
        """Takes every place."""
        hanging = [self.request(*TOKEN) for _ in range(PLACES)]
        while self.asked < PLACES:
            await asyncio.sleep(0.01)
        return hanging


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 30))


async def codes(tasks: list[asyncio.Task[str]]) -> set[object]:
    seen = await asyncio.gather(*tasks, return_exceptions=True)
    return {(one.code, one.retry_after_seconds) if isinstance(one, Refusal) else one for one in seen}


def test_queue_for_google_is_emptied_when_it_hangs() -> None:
    async def story() -> None:
        google = Google()
        hanging = await google.fill()
        queued = [google.request(*TOKEN) for _ in range(8)] + [google.request(*NEXT_TOKEN) for _ in range(8)]
        others = google.request(*ISSUER)
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in [*hanging, *queued, others])
        google.is_open = True
        assert await codes(queued) == {("upstream-timeout", 2)}
        assert not any(task.done() for task in [*hanging, others]), "an issuer is not Google"
        assert google.asked == PLACES
        google.answer()
        assert await codes([*hanging, others]) == {"answered"}

    run(story())


def test_no_one_queues_for_a_google_that_hangs() -> None:
    async def story() -> None:
        google = Google()
        hanging = await google.fill()
        google.is_open = True
        assert await codes([google.request(*TOKEN) for _ in range(300)]) == {("upstream-timeout", 2)}
        google.answer()
        assert await codes(hanging) == {"answered"}
        # The app itself refuses those who need not wait: it knows more, and it may need a probe.
        assert await codes([google.request(*TOKEN)]) == {"answered"}

    run(story())


def test_places_are_neither_lost_nor_gained_by_those_who_leave() -> None:
    async def story() -> None:
        google = Google()
        hanging = await google.fill()
        for _ in range(5):
            queued = [google.request(*TOKEN) for _ in range(20)]
            await asyncio.sleep(0)
            queued.pop().cancel()
            google.is_open = True
            assert await codes(queued) == {("upstream-timeout", 2)}
            google.is_open = False
        google.answer()
        assert await codes(hanging) == {"answered"}
        google._answers.clear()
        google.asked = 0
        again = await google.fill()
        waiting = google.request(*TOKEN)
        await asyncio.sleep(0.3)
        assert google.asked == PLACES
        google.answer()
        assert await codes([*again, waiting]) == {"answered"}

    run(story())


def test_other_routes_have_threads_while_all_places_hang() -> None:
    async def story() -> None:
        google = Google()
        hanging = await google.fill()
        for path in ("/me", "/healthz", "/readyz", "/admin/usage", "/sessions/s1/heartbeat"):
            seen = await google.lanes.run("POST", path, lambda: "at once", has_left=lambda: False)
            assert seen == "at once"
        google.answer()
        assert await codes(hanging) == {"answered"}

    run(story())


@pytest.mark.parametrize("kind", [TOKEN, ISSUER])
def test_full_queue_is_busy(kind: tuple[str, str]) -> None:
    async def story() -> None:
        google = Google()
        hanging = await google.fill()
        queued = [google.request(*kind) for _ in range(64)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await google.request(*kind)
        google.answer()
        assert await codes([*hanging, *queued]) == {"answered"}

    run(story())
