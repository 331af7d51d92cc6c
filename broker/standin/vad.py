"""Detects speech in 16 kHz PCM by its level above a slowly adapting noise floor.

Reports when speech starts and ends, and which samples belong to it. It counts time in samples, so a busy
machine gets the same result as an idle one. Music or a tone counts as speech.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass
from operator import mul
from typing import Any

RATE = 16000
FRAME = 320  # 20 ms
FRAME_MS = 20
DEFAULT_SILENCE_MS = 800
DEFAULT_PREFIX_MS = 60
PREROLL_FRAMES = 15  # kept from before the start, so that soft first sounds survive
TAIL_FRAMES = 10
FIRST_FLOOR = 100.0  # upper bound, because the first sound may be speech
LOUD = {"START_SENSITIVITY_HIGH": 250.0, "START_SENSITIVITY_LOW": 700.0}  # RMS of 32768
ABOVE_FLOOR = {"START_SENSITIVITY_HIGH": 2.5, "START_SENSITIVITY_LOW": 4.0}
STILL_SPEECH = {"END_SENSITIVITY_HIGH": 0.7, "END_SENSITIVITY_LOW": 0.4}  # relative to the start level


@dataclass(frozen=True)
class SpeechStarted:
    offset_seconds: float


@dataclass(frozen=True)
class SpeechEnded:
    samples: array[int]
    seconds: float
    offset_seconds: float


class SpeechDetector:
    def __init__(self, detection: dict[str, Any]) -> None:
        """`detection` is the setup's automaticActivityDetection."""
        start = detection.get("startOfSpeechSensitivity", "START_SENSITIVITY_HIGH")
        end = detection.get("endOfSpeechSensitivity", "END_SENSITIVITY_HIGH")
        self._loud = LOUD.get(start, LOUD["START_SENSITIVITY_HIGH"])
        self._above = ABOVE_FLOOR.get(start, ABOVE_FLOOR["START_SENSITIVITY_HIGH"])
        self._still = STILL_SPEECH.get(end, STILL_SPEECH["END_SENSITIVITY_HIGH"])
        silence_ms = detection.get("silenceDurationMs", DEFAULT_SILENCE_MS)
        prefix_ms = detection.get("prefixPaddingMs", DEFAULT_PREFIX_MS)
        self._silence_frames = max(1, math.ceil(silence_ms / FRAME_MS))
        self._prefix_frames = max(1, math.ceil(prefix_ms / FRAME_MS))
        self._floor: float | None = None
        self._rest: array[int] = array("h")
        self._before: deque[array[int]] = deque(maxlen=PREROLL_FRAMES + self._prefix_frames)
        self._speech: list[array[int]] | None = None
        self._run = self._silent = self._voiced_from = self._frames = 0

    @property
    def speaking(self) -> bool:
        return self._speech is not None

    def feed(self, samples: array[int]) -> list[SpeechStarted | SpeechEnded]:
        self._rest.extend(samples)
        found: list[SpeechStarted | SpeechEnded] = []
        at = 0
        while len(self._rest) - at >= FRAME:
            event = self._frame(self._rest[at : at + FRAME])
            at += FRAME
            if event:
                found.append(event)
        del self._rest[:at]
        return found

    def finish(self) -> SpeechEnded | None:
        """The stream stopped, which ends any speech."""
        return self._end() if self._speech is not None else None

    def _frame(self, frame: array[int]) -> SpeechStarted | SpeechEnded | None:
        self._frames += 1
        mean = sum(frame) / FRAME
        level = math.sqrt(max(0.0, sum(map(mul, frame, frame)) / FRAME - mean * mean))
        if self._floor is None and level >= 1:  # ignore the digital silence that devices send at first
            self._floor = min(level, FIRST_FLOOR)
        needed = max(self._loud, self._above * (self._floor or 0.0))
        if self._floor is not None and level >= 1:
            # Falls at once, rises slowly, and slower still within speech: a steady hum becomes background.
            self._floor = min(level, self._floor * (1.004 if self._speech is not None else 1.01))
        if self._speech is None:
            return self._wait(frame, level >= needed)
        return self._follow(frame, level >= needed * self._still)

    def _wait(self, frame: array[int], voiced: bool) -> SpeechStarted | None:
        self._before.append(frame)
        self._run = self._run + 1 if voiced else max(0, self._run - 1)
        if self._run < self._prefix_frames:
            return None
        self._speech = list(self._before)
        self._before.clear()
        self._voiced_from = self._frames - self._run
        self._run = self._silent = 0
        return SpeechStarted(self._voiced_from * FRAME_MS / 1000)

    def _follow(self, frame: array[int], voiced: bool) -> SpeechEnded | None:
        assert self._speech is not None
        self._speech.append(frame)
        self._silent = 0 if voiced else self._silent + 1
        return self._end() if self._silent >= self._silence_frames else None

    def _end(self) -> SpeechEnded:
        assert self._speech is not None
        cut = max(0, self._silent - TAIL_FRAMES)
        kept = self._speech[: len(self._speech) - cut]
        samples: array[int] = array("h")
        for frame in kept:
            samples.extend(frame)
        spoken = self._frames - self._silent - self._voiced_from
        ended = SpeechEnded(samples, spoken * FRAME_MS / 1000, self._frames * FRAME_MS / 1000)
        self._speech = None
        self._run = self._silent = 0
        return ended
