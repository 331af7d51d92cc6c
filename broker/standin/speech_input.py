"""Speech input: turns realtime audio frames into speech events, with automatic or manual activity detection.

Handles MIME types, sample rates and the manual window. `messages.py` acts on the events.
"""

from __future__ import annotations

import re
import sys
from array import array
from typing import Any

from broker.standin.close_reasons import CLOSES, Refused
from broker.standin.resample import Resampler
from broker.standin.vad import RATE, SpeechDetector, SpeechEnded, SpeechStarted

MIME = re.compile(r"audio/pcm(?:\s*;\s*rate=(\d{1,6}))?", re.IGNORECASE)
RATES = range(8000, 96001)
Event = SpeechStarted | SpeechEnded


def samples_of(data: bytes) -> array[int]:
    """Little-endian 16-bit samples."""
    samples: array[int] = array("h", data)
    if sys.byteorder == "big":  # pragma: no cover (no such machine here)
        samples.byteswap()
    return samples


class SpeechInput:
    def __init__(self, setup: dict[str, Any], lenient: bool) -> None:
        """With `lenient`, a mark that changes nothing is ignored."""
        self._lenient = lenient
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
        """Returns the samples at 16 kHz and the events that they caused. Takes raw 16-bit mono PCM only."""
        match = MIME.fullmatch(mime_type)
        rate = int(match[1] or RATE) if match else 0
        if rate not in RATES or not data or len(data) % 2:
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
        if self.manual:  # only automatic detection handles a paused stream
            raise Refused(CLOSES["invalid-argument"])
        ended = self._detector.finish()
        return [ended] if ended else []

    def activity_start(self) -> list[Event]:
        if self._changes_nothing(self._window is not None):
            return []
        self._window = array("h")
        return [SpeechStarted(self._heard / RATE)]

    def activity_end(self) -> list[Event]:
        if self._changes_nothing(self._window is None):
            return []
        assert self._window is not None
        window, self._window = self._window, None
        return [SpeechEnded(window, len(window) / RATE, self._heard / RATE)]

    def _changes_nothing(self, repeated: bool) -> bool:
        if not self.manual:
            raise Refused(CLOSES["explicit-activity"])
        if repeated and not self._lenient:
            raise Refused(CLOSES["invalid-argument"])
        return repeated
