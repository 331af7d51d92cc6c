"""The pace of sent audio: faster than it plays, or as late and uneven as a scenario asks for."""

from __future__ import annotations

import random
from collections.abc import Iterator

from broker.standin.clock import Clock
from broker.standin.scenarios import Scenarios
from broker.standin.voice import CHUNK_SAMPLES, RATE

USUAL_SPEED = 8.0
BYTES_PER_SECOND = 2 * RATE


class Pacing:
    """Waits until the next piece of audio may be sent."""

    def __init__(self, clock: Clock, scenarios: Scenarios, speed: float) -> None:
        self._clock = clock
        pace = scenarios.peek("pace")
        self._speed = speed or (float(pace["speed"]) if pace else USUAL_SPEED)
        if scenarios.peek("burst") is not None:
            self._speed = float("inf")
        self._jitter = scenarios.peek("jitter")
        self._random = random.Random((self._jitter or {}).get("seed"))  # noqa: S311 (a repeatable nuisance) # nosec B311
        self._stall = scenarios.use("stall")
        self._start = clock.now()
        self._last = 0.0

    async def wait(self, sent_seconds: float) -> None:
        due = self._start + sent_seconds / self._speed
        if self._jitter:
            due += self._random.uniform(0, float(self._jitter["max_ms"]) / 1000)
        if self._stall and sent_seconds >= float(self._stall["after_seconds"]):
            due += float(self._stall["seconds"])
        self._last = max(self._last, due)
        await self._clock.sleep_until(self._last)  # yields even if no wait is left


def sized(chunks: Iterator[bytes], scenarios: Scenarios) -> Iterator[bytes]:
    """Yields chunks as they come, or joined into larger frames."""
    big = scenarios.peek("big-chunks")
    wanted = int(float(big["ms"]) * RATE / 1000) * 2 if big else CHUNK_SAMPLES * 2
    held = b""
    for chunk in chunks:
        held += chunk
        while len(held) >= wanted:
            yield held[:wanted]
            held = held[wanted:]
    if held:
        yield held
