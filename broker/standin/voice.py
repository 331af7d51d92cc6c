"""The stand-in's voice: answers as 24 kHz PCM in frames, with the words for the captions.

It repeats a spoken utterance, plays a typed sentence as soft chimes, and plays tones and silence for tests.
Audio is made piece by piece: the first frame is ready within milliseconds, and a long answer does not block
the event loop.
"""

from __future__ import annotations

import math
import re
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from broker.standin.resample import Resampler

RATE = 24000
CHUNK_SAMPLES = 960  # 40 ms
MAX_SECONDS = 120.0
LEVEL = 0.3 * 32767
SCALE_HZ = (196.0, 220.0, 261.6, 293.7, 329.6, 392.0, 440.0, 523.3)  # pentatonic: any order sounds good
NOTE_SECONDS = 0.17


@dataclass(frozen=True)
class Answer:
    """Pieces of audio, `seconds` in all, and the text that they say."""

    text: str
    seconds: float
    pieces: Iterator[array[int]]
    thought: str = ""
    grounding: dict[str, Any] | None = None  # groundingMetadata, sent after the words

    def chunks(self) -> Iterator[bytes]:
        """Yields little-endian bytes, `CHUNK_SAMPLES` at a time."""
        held: array[int] = array("h")
        for piece in self.pieces:
            held.extend(piece)
            whole = len(held) - len(held) % CHUNK_SAMPLES
            for at in range(0, whole, CHUNK_SAMPLES):
                yield held[at : at + CHUNK_SAMPLES].tobytes()
            del held[:whole]
        if held:
            yield held.tobytes()


def repeat(samples: array[int], text: str) -> Answer:
    """Repeats what was said at 16 kHz."""

    def pieces() -> Iterator[array[int]]:
        resampler = Resampler(16000, RATE)
        for at in range(0, len(samples), 640):
            yield resampler.feed(samples[at : at + 640])
        yield resampler.flush()

    return Answer(text, len(samples) / 16000, pieces())


def tone(hz: float, seconds: float, text: str = "") -> Answer:
    seconds = min(max(seconds, 0.0), MAX_SECONDS)
    total = round(seconds * RATE)
    step = 2 * math.pi * hz / RATE

    def pieces() -> Iterator[array[int]]:
        for at in range(0, total, CHUNK_SAMPLES):
            end = min(total, at + CHUNK_SAMPLES)
            yield array("h", [round(LEVEL * math.sin(step * n)) for n in range(at, end)])

    return Answer(text or f"A tone of {hz:g} hertz for {seconds:g} seconds.", seconds, pieces())


def silence(seconds: float) -> Answer:
    seconds = min(max(seconds, 0.0), MAX_SECONDS)
    total = round(seconds * RATE)
    pieces = (array("h", bytes(2 * min(CHUNK_SAMPLES, total - at))) for at in range(0, total, CHUNK_SAMPLES))
    return Answer(f"Silence for {seconds:g} seconds.", seconds, pieces)


def chimes(text: str, thought: str = "") -> Answer:
    """A sentence as one soft note per syllable. The same word always sounds the same."""
    notes: list[tuple[float, float]] = []  # (pitch or 0 for a rest, seconds)
    spoken = 0.0
    for word, stop in re.findall(r"(\w+)([.,;:!?]?)", text):
        syllables = max(1, len(re.findall(r"[aeiouyäöü]+", word.lower())))
        pitches = (zlib.crc32(f"{word.lower()}{part}".encode()) % 8 for part in range(syllables))
        notes.extend((SCALE_HZ[pitch], NOTE_SECONDS) for pitch in pitches)
        notes.append((0.0, 0.25 if stop else 0.06))
        spoken += syllables * NOTE_SECONDS + notes[-1][1]
        if spoken > MAX_SECONDS:
            break
    pieces = [_note(hz, seconds) for hz, seconds in notes] or [_note(SCALE_HZ[0], NOTE_SECONDS)]
    return Answer(text, sum(map(len, pieces)) / RATE, iter(pieces), thought)


def briefly(text: str) -> Answer:
    """A text to read, with a few notes only."""
    return replace(chimes("Here you are."), text=text)


@lru_cache(maxsize=64)
def _note(hz: float, seconds: float) -> array[int]:
    total = round(seconds * RATE)
    if not hz:
        return array("h", bytes(2 * total))
    samples: array[int] = array("h")
    for n in range(total):
        at = n / RATE
        attack = min(1.0, at / 0.012)
        release = min(1.0, (total - n) / (0.03 * RATE))
        swell = attack * release * math.exp(-5 * at)
        turn = 2 * math.pi * hz * at
        wave = math.sin(turn) + 0.35 * math.sin(2 * turn) * math.exp(-14 * at) + 0.12 * math.sin(3 * turn)
        samples.append(round(LEVEL * 0.7 * swell * wave))
    return samples
