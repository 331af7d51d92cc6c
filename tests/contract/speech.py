"""A spoken sentence as a microphone delivers it: espeak-ng speaks it, sox converts it to 16 kHz mono PCM."""

from __future__ import annotations

import subprocess
from functools import cache

RATE = 16_000
CHUNK_BYTES = 640  # 20 ms
SENTENCE = "Good morning. Please tell me something about the weather in spring."


@cache
def spoken(sentence: str = SENTENCE) -> bytes:
    """s16le at 16 kHz, padded to whole 20 ms chunks, without silence at its ends."""
    wav = subprocess.run(
        ["espeak-ng", "-v", "en-us", "-s", "170", "--stdout", sentence], capture_output=True, check=True
    ).stdout
    pcm = subprocess.run(
        ["sox", "-t", "wav", "-", "-t", "raw", "-r", str(RATE), "-c", "1", "-b", "16", "-e", "signed", "-"],
        input=wav, capture_output=True, check=True,
    ).stdout  # fmt: skip
    return pcm + bytes(-len(pcm) % CHUNK_BYTES)


def silence(seconds: float) -> bytes:
    return bytes(int(seconds * RATE) * 2)


def chunks(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + CHUNK_BYTES] for at in range(0, len(pcm), CHUNK_BYTES)]
