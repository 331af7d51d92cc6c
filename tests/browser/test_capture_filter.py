"""Tones and sweeps through the capture worklet in Chromium, from devices of both common rates.

The long form takes ten minutes of sound.

The worklet's own modules run in an OfflineAudioContext in the microphone's place, so that ten minutes take
seconds and no device loses a block. The way from a microphone to the wire, in real time: test_capture.py.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Service
from tests.browser.support import Samples, pcm

HEARD_RATE = 16000
CHUNK = 320
LEAD_SECONDS = 2
EXTRA = 0.01  # so that the last chunk is whole
TONE_SECONDS = 0.5
PASSED_HZ = (50, 100, 200, 400, 1000, 2000, 3000, 4000, 5000, 6000, 6500, 6800, 7000)
# At exactly 8 kHz a tone and its image coincide, and the result depends on the sampling moment.
FOLDED_HZ = (
    8025,
    8100,
    8250,
    8500,
    9000,
    10000,
    11000,
    12000,
    14000,
    15900,
    17000,
    20000,
    22000,
    23000,
    23900,
)
PASSED_AT, FOLDED_AT, PASSED_SWEEP_AT, FOLDED_SWEEP_AT = 5, 12, 20, 26
SWEEP_SECONDS = 5
STEADY_HZ, STEADY_FROM = 1000, 33
MARK_SECONDS = 1.0


def tone(rate: int, hz: float, peak: float = 0.5, seconds: float = TONE_SECONDS) -> Samples:
    out: Samples = peak * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)
    return out


def sweep(rate: int, low: float, high: float, seconds: float, peak: float = 0.5) -> Samples:
    t = np.arange(round(rate * seconds)) / rate
    out: Samples = peak * np.sin(2 * np.pi * (low * t + (high - low) * t * t / (2 * seconds)))
    return out


def mark(rate: int) -> Samples:
    """A sound that occurs only once."""
    whole = sweep(rate, 300, 6000, MARK_SECONDS)
    return whole * np.hanning(len(whole))


class Heard:
    """The samples that the worklet sent."""

    def __init__(self, page: Page, rate: int, seconds: int) -> None:
        self._page = page
        self.rate = rate
        self.seconds = seconds
        self.steady_until = seconds - 10
        self.marks_at = (3, seconds - 3)
        self.folded_hz = [hz for hz in FOLDED_HZ if hz < rate / 2]
        self.samples = int(
            page.evaluate(
                """async (job) => {
                    const { capture } = await import('/bench/offline-capture.js');
                    globalThis.heard = await capture(job);
                    return heard.samples;
                }""",
                {
                    "rate": rate,
                    "seconds": seconds + EXTRA,
                    "lead": LEAD_SECONDS,
                    "parts": self._parts(),
                },
            )
        )

    def _parts(self) -> list[dict[str, Any]]:
        rate = self.rate
        sounds: list[tuple[float, Samples]] = [(at, mark(rate)) for at in self.marks_at]
        sounds += [(PASSED_AT + n * TONE_SECONDS, tone(rate, hz)) for n, hz in enumerate(PASSED_HZ)]
        sounds += [(FOLDED_AT + n * TONE_SECONDS, tone(rate, hz, 0.9)) for n, hz in enumerate(self.folded_hz)]
        sounds.append((PASSED_SWEEP_AT, sweep(rate, 100, 7000, SWEEP_SECONDS)))
        sounds.append((FOLDED_SWEEP_AT, sweep(rate, 8010, rate / 2 - 50, SWEEP_SECONDS, 0.9)))
        parts: list[dict[str, Any]] = [{"at": at, "samples": _packed(sound)} for at, sound in sounds]
        steady = tone(rate, STEADY_HZ, seconds=1)
        return [*parts, {"at": STEADY_FROM, "until": self.steady_until, "samples": _packed(steady)}]

    def read(self, at: float, seconds: float) -> Samples:
        first, last = round(at * HEARD_RATE), round((at + seconds) * HEARD_RATE)
        return pcm(base64.b64decode(self._page.evaluate("span => heard.read(...span)", [first, last])))

    def tone(self, begin: float, n: int) -> Samples:
        """The n-th of a row, without its edges."""
        return self.read(begin + n * TONE_SECONDS + 0.1, TONE_SECONDS - 0.2)

    def sweep(self, begin: float) -> Iterator[Samples]:
        """In twentieths of a second, without the first and the last."""
        whole = self.read(begin, SWEEP_SECONDS)
        parts = np.split(whole, round(SWEEP_SECONDS * 20))
        return iter(parts[1:-1])

    def place(self, at: float) -> float:
        """Where the mark begins that was given at that time, in samples."""
        margin = 0.5
        found, wanted = self.read(at - margin, MARK_SECONDS + 2 * margin), mark(HEARD_RATE)
        size = len(found) + len(wanted)
        match = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size)), size)
        best = int(np.argmax(match[: len(found)]))
        before, here, after = match[best - 1], match[best], match[best + 1]
        between = (before - after) / (2 * (before - 2 * here + after))
        return round((at - margin) * HEARD_RATE) + best + float(between)


def _packed(sound: Samples) -> str:
    return base64.b64encode(sound.astype("<f4").tobytes()).decode()


def level_db(samples: Samples, peak: float) -> float:
    """The level of everything in the samples, relative to a sine of this peak."""
    return float(20 * np.log10(np.sqrt(2 * np.mean(samples**2)) / peak + 1e-9))


LONG = pytest.mark.long


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((48000, 60), id="48 kHz"),
        pytest.param((44100, 60), id="44.1 kHz"),
        pytest.param((48000, 600), id="48 kHz, ten minutes", marks=LONG),
        pytest.param((44100, 600), id="44.1 kHz, ten minutes", marks=LONG),
    ],
)
def heard(browser: Browser, talking: Service, request: pytest.FixtureRequest) -> Iterator[Heard]:
    page = browser.new_page()
    page.goto(f"{talking.broker.url}/bench/bench.html")
    yield Heard(page, *request.param)
    page.close()


def test_tones_pass_within_half_a_decibel_up_to_7_khz(heard: Heard) -> None:
    levels = {hz: level_db(heard.tone(PASSED_AT, n), 0.5) for n, hz in enumerate(PASSED_HZ)}
    assert all(abs(level) < 0.5 for level in levels.values()), levels


def test_sweep_passes_within_half_a_decibel_up_to_7_khz(heard: Heard) -> None:
    levels = [level_db(part, 0.5) for part in heard.sweep(PASSED_SWEEP_AT)]
    assert max(map(abs, levels)) < 0.5


def test_tones_above_8_khz_are_80_db_down(heard: Heard) -> None:
    """Any remainder counts, whatever its frequency."""
    levels = {hz: level_db(heard.tone(FOLDED_AT, n), 0.9) for n, hz in enumerate(heard.folded_hz)}
    assert all(level < -80 for level in levels.values()), levels


def test_sweep_above_8_khz_is_80_db_down(heard: Heard) -> None:
    assert max(level_db(part, 0.9) for part in heard.sweep(FOLDED_SWEEP_AT)) < -80


def test_sound_does_not_drift_by_a_sample(heard: Heard) -> None:
    first, last = (heard.place(at) for at in heard.marks_at)
    assert last - first == pytest.approx((heard.marks_at[1] - heard.marks_at[0]) * HEARD_RATE, abs=0.05)
    # Samples rendered before the worklet had its port are missing. They belong to the lead.
    missing = heard.marks_at[0] * HEARD_RATE - first
    assert missing / CHUNK == pytest.approx(round(missing / CHUNK), abs=0.05 / CHUNK)
    assert heard.samples + round(missing) == heard.seconds * HEARD_RATE


def test_steady_tone_keeps_its_phase(heard: Heard) -> None:
    """Checked every ten seconds: no sample is lost or added in between."""
    turns = np.exp(-2j * np.pi * STEADY_HZ * np.arange(HEARD_RATE // 10) / HEARD_RATE)
    times = range(STEADY_FROM + 1, heard.steady_until, 10)
    angles = [np.angle(np.sum(heard.read(at, 0.1) * turns)) for at in times]
    moved = (
        np.abs(np.angle(np.exp(1j * (np.array(angles) - angles[0])))) * HEARD_RATE / (2 * np.pi * STEADY_HZ)
    )
    assert moved.max() < 0.01, f"{moved.max()} samples"
