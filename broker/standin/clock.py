"""The stand-in's time: one clock for every lifetime, pause and deadline, which tests may run faster.

Owns the scale. Needs nothing. Audio is counted in samples, not here.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """Stand-in seconds: `scale` of them pass in one real second."""

    def __init__(self, scale: float = 1.0) -> None:
        if scale <= 0:
            raise ValueError("time_scale must be positive")
        self.scale = scale
        self._origin = time.monotonic()

    def now(self) -> float:
        return (time.monotonic() - self._origin) * self.scale

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.scale)

    async def sleep_until(self, moment: float) -> None:
        await self.sleep(moment - self.now())

    def seconds_until(self, moment: datetime) -> float:
        """How far off a time that a caller named is, seen from here. A token minted for 15 minutes then
        lives 15 stand-in minutes, whatever the scale and however long the stand-in has been running."""
        return (moment - datetime.now(UTC)).total_seconds()
