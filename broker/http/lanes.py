"""Which request may take a thread, and how long it may wait for one.

Flask runs in `BROKER_THREADS` threads. Requests that may wait for another server, such as Google, take at
most three quarters of them, so the others still answer while that server hangs. Requests beyond that wait in
a bounded queue, for a bounded time, without a thread. Requests for a token leave it as soon as it is known
that Google hangs. Probes, refusals and long answers have threads of their own.

All of this belongs to the event loop of one worker, apart from the calls themselves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from broker.errors import Refusal

T = TypeVar("T")

# With the wait for Google, this stays within the ten seconds of a request.
QUEUE_SECONDS = 5.0
# How often those who wait look whether it is still worth it.
LOOK_SECONDS = 0.1
# A queue is short where threads are few, but 32 callers of one worker never find it full.
_LEAST_QUEUE = 64
_ASKS_GOOGLE = re.compile(r"POST (/token|/sessions/[^/]+/token)/?")
_ASKS_ISSUER = re.compile(r"[A-Z]+ /auth/oidc/.*")
_PROBES = {"/readyz", "/metrics"}
ALIVE = "/healthz"


class Busy(Exception):  # noqa: N818 - an answer, not an accident
    """The queue is full, or the wait was too long."""


def places_for_waiting(threads: int) -> int:
    """How many of the threads may wait for another server at once."""
    return max(1, threads - max(1, threads // 4))


class Lanes:
    def __init__(self, threads: int, check_google: Callable[[], None]) -> None:
        """`check_google` raises if a call to Google would be refused at once. It must not wait."""
        queue = max(_LEAST_QUEUE, 4 * threads)
        self._threads = _Places(threads, queue)
        self._waiting = _Places(places_for_waiting(threads), queue, check_google)
        self._requests = ThreadPoolExecutor(threads, "request")
        # A probe of the stores can hang with them, and a refusal is needed most when there are many.
        self._alive = ThreadPoolExecutor(1, "alive")
        self._probes = ThreadPoolExecutor(2, "probe")
        self._refusals = ThreadPoolExecutor(1, "refusal")
        # The pieces of all long answers take turns, and never a thread of the requests.
        self._pieces = ThreadPoolExecutor(1, "piece")

    async def run(self, method: str, path: str, call: Callable[[], T], *, has_left: Callable[[], bool]) -> T:
        """Returns what `call` returns in a thread.

        Raises Busy if no thread is free in time, or if the client has left when one is: nobody should be
        charged for a token that nobody waits for. Raises what `check_google` raises during a wait.
        """
        if path == ALIVE:
            return await _in_thread(self._alive, call)
        if path in _PROBES:
            return await _in_thread(self._probes, call)
        async with AsyncExitStack() as stack:
            if _ASKS_GOOGLE.fullmatch(f"{method} {path}"):
                await stack.enter_async_context(self._waiting.one(for_google=True))
            elif _ASKS_ISSUER.fullmatch(f"{method} {path}"):
                await stack.enter_async_context(self._waiting.one())
            await stack.enter_async_context(self._threads.one())
            if has_left():
                raise Busy
            return await _in_thread(self._requests, call)

    async def refuse(self, call: Callable[[], T]) -> T:
        """Runs a call that needs no store and no other server, beside all that wait."""
        return await _in_thread(self._refusals, call)

    async def resume(self, call: Callable[[], T]) -> T:
        """Runs a call that makes the next piece of an answer."""
        return await _in_thread(self._pieces, call)


class _Places:
    def __init__(self, places: int, queue: int, check: Callable[[], None] = lambda: None) -> None:
        """`check` raises when waiting is pointless for those who depend on Google."""
        self._free = asyncio.Semaphore(places)
        self._queue = queue
        self._queued = 0
        self._check = check
        self._depend: set[asyncio.Timeout] = set()
        """How long each of them still waits."""

    @asynccontextmanager
    async def one(self, *, for_google: bool = False) -> AsyncIterator[None]:
        if self._free.locked():
            await self._wait(for_google=for_google)
        else:
            await self._free.acquire()  # at once, and without a timer
        try:
            yield
        finally:
            self._free.release()

    async def _wait(self, *, for_google: bool) -> None:
        check = self._check if for_google else lambda: None
        check()
        if self._queued >= self._queue:
            raise Busy
        self._queued += 1
        try:
            async with asyncio.timeout(QUEUE_SECONDS) as patience:
                if for_google:
                    self._watch(patience)
                await self._free.acquire()
        except TimeoutError:
            check()
            raise Busy from None
        finally:
            self._queued -= 1
            self._depend.discard(patience)

    def _watch(self, patience: asyncio.Timeout) -> None:
        if not self._depend:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
        self._depend.add(patience)

    def _look(self) -> None:
        """Ends all waits that have become pointless."""
        loop = asyncio.get_running_loop()
        try:
            self._check()
        except Refusal:
            for patience in self._depend:
                patience.reschedule(loop.time())
            self._depend.clear()
        if self._depend:
            loop.call_later(LOOK_SECONDS, self._look)


async def _in_thread(executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    """Waits until the thread has finished, even if the client has gone: it keeps its place until then."""
    work = asyncio.wrap_future(executor.submit(call))
    cancelled = False
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            cancelled = True
        except Exception:  # noqa: BLE001 - raised below
            break
    if cancelled:
        work.exception()
        raise asyncio.CancelledError
    return work.result()
