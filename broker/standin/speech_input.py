"""The ear: realtime audio frames in, speech events out, under automatic or manual activity detection.

Owns MIME types, sample rates and the manual window. Needs the detector and the resampler. Leaves what to do
about an event to the connection.
"""

from __future__ import annotations

import re
import sys
from array import array
from typing import Any

from broker.standin.close_reasons import CLOSES, Refused
from broker.standin.resample import Resampler
from broker.standin.vad import RATE, SpeechDetector, SpeechEnded, SpeechStarted

MIME = re.compile(r"audio/(?:pcm|l16)(?:\s*;\s*rate=(\d+))?(?:\s*;.*)?", re.IGNORECASE)
RATES = range(8000, 96001)
Event = SpeechStarted | SpeechEnded


def samples_of(data: bytes) -> array[int]:
    """Little-endian 16-bit; an odd last byte is no sample."""
    samples: array[int] = array("h", data[: len(data) & ~1])
    if sys.byteorder == "big":  # pragma: no cover (no such machine here)
        samples.byteswap()
    return samples


class SpeechInput:
    def __init__(self, setup: dict[str, Any]) -> None:
        detection = setup.get("realtimeInputConfig", {}).get("automaticActivityDetection", {})
        self.manual: bool = detection.get("disabled", False)
        self._detector = SpeechDetector(detection)
        self._resamplers: dict[int, Resampler] = {}
        self._window: array[int] | None = None
        self._heard = 0

    @property
    def speaking(self) -> bool:
        return self._window is not None if self.manual else self._detector.speaking

    def audio(self, mime_type: str, data: bytes) -> tuple[array[int], list[Event]]:
        """The samples as 16 kHz, and what they brought about."""
        match = MIME.fullmatch(mime_type)
        rate = int(match[1] or RATE) if match else 0
        if rate not in RATES:
            raise Refused(CLOSES["invalid-argument"])
        samples = samples_of(data)
        if rate != RATE:
            samples = self._resamplers.setdefault(rate, Resampler(rate, RATE)).feed(samples)
        self._heard += len(samples)
        if not self.manual:
            return samples, self._detector.feed(samples)
        if self._window is not None:
            self._window.extend(samples)
        return samples, []

    def stream_end(self) -> list[Event]:
        if self.manual:  # only automatic detection knows a paused stream
            raise Refused(CLOSES["invalid-argument"])
        ended = self._detector.finish()
        return [ended] if ended else []

    def activity_start(self) -> list[Event]:
        if not self.manual:
            raise Refused(CLOSES["invalid-argument"])
        if self._window is not None:
            return []
        self._window = array("h")
        return [SpeechStarted(self._heard / RATE)]

    def activity_end(self) -> list[Event]:
        if not self.manual:
            raise Refused(CLOSES["invalid-argument"])
        if self._window is None:
            return []
        window, self._window = self._window, None
        return [SpeechEnded(window, len(window) / RATE, self._heard / RATE)]
