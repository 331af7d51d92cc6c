"""Runs a coroutine in a thread of its own.

The browser tests keep Playwright's synchronous API open in the main thread. It leaves an event loop running
there, so `asyncio.run` refuses to start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
