"""One clock for every lifetime, pause and deadline. Tests can make it run faster.

Audio is counted in samples and does not use this clock.
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
        """Seconds from now to a moment that a caller named.

        A token minted for 15 minutes lives 15 stand-in minutes at every scale.
        """
        return (moment - datetime.now(UTC)).total_seconds()
