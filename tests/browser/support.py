"""A real Chromium whose microphone plays a file, pages that record what they play, and sound to compare.

It needs Chromium, espeak-ng and sox. The product stays unchanged: recording is an init script that wraps
`AudioNode.connect`. Its worklet comes from the page's own origin (stage_server.py), so that the page's CSP
stays as it is.
"""

from __future__ import annotations

import base64
import os
import statistics
import subprocess
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

from tests.support.servers import PASSWORD

PAGES = Path(__file__).parent / "pages"
OUTPUT_RATE = 24000
QUANTUM = 128
USUAL_MS = 8.0
"""See `slowness`."""
Samples = npt.NDArray[np.float64]

# Chromium renders the popup of the address bar as a web page for each new window. Without it a visit takes
# 1.4 s of processor time less. Only the last --disable-features counts, so Playwright's own list is repeated.
DISABLED_FEATURES = [
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
]
FLAGS = [
    "--no-sandbox",
    f"--disable-features={','.join(DISABLED_FEATURES)}",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
]

# An init script that turns off the browser's echo, noise and gain control.
UNPROCESSED = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
const off = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
navigator.mediaDevices.getUserMedia = ({ audio }) => ask({ audio: { ...audio, ...off } });
"""
# An init script that removes workers, so that the network side runs on the main thread.
NO_WORKER = "delete globalThis.Worker;"
# Blocks the main thread for some milliseconds. Returns when the block began.
BLOCK = "ms => { const from = Date.now(); while (Date.now() < from + ms); return from; }"


def launch(
    playwright: Playwright, microphone: Path | None = None, *, deny: bool = False, cameras: int = 1
) -> Browser:
    """Starts Chromium. Its microphone plays the WAV file once, or beeps. `deny` refuses every permission."""
    args = list(FLAGS)
    if cameras > 1:
        args[-1] += f"=device-count={cameras}"
    if microphone:
        args.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    args.append(f"--use-fake-ui-for-media-stream{'=deny' if deny else ''}")
    executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    return playwright.chromium.launch(executable_path=executable, args=args)


def speak(
    folder: Path, text: str, *, before: float = 1.0, after: float = 30.0, peak_db: float = -3.0
) -> Path:
    """A sentence by espeak-ng as a 48 kHz WAV between two silences."""
    spoken = folder / "spoken.wav"
    path = folder / "microphone.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "-w", spoken, text], check=True, timeout=30)
    convert = [
        "sox",
        str(spoken),
        "-r",
        "48000",
        "-c",
        "1",
        "-b",
        "16",
        str(path),
        "gain",
        "-n",
        str(peak_db),
    ]
    subprocess.run([*convert, "pad", str(before), str(after)], check=True, timeout=30, capture_output=True)
    return path


def write_wav(path: Path, samples: Samples, rate: int = 48000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return path


def pcm(data: bytes) -> Samples:
    """PCM16 as -1..1, exactly as the library turns it into floats."""
    return np.frombuffer(data, dtype="<i2").astype(np.float64) / 32768


def wait_for(what: str, ready: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first truthy answer. After `seconds` it fails and says what it waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def assert_at_most(limit: float, measure: Callable[[], float]) -> None:
    """Measures up to five times and compares the best value. A slow machine has more time."""
    tries: list[float] = []
    slow = slowness()
    while not tries or (min(tries) > limit * slow and len(tries) < 5):
        tries.append(measure())
        slow = max(slow, slowness())
    print(
        f"{tries} of at most {limit:g} on a machine {slow:.1f} times as slow as the usual one"
    )  # for pytest -rP
    assert min(tries) <= limit * slow, f"at most {limit:g} * {slow:.1f}, measured {tries}"


def slowness() -> float:
    """How much longer a fixed piece of work takes than on an idle machine of 2.4 GHz. At least 1."""
    times = []
    for _ in range(20):
        started = time.perf_counter()
        sum(n * n % 7 for n in range(100_000))
        times.append((time.perf_counter() - started) * 1000)
    return max(1.0, statistics.median(times) / USUAL_MS)


@dataclass(frozen=True)
class Recording:
    """What went to the loudspeaker: samples, and when each block of 128 was rendered (epoch milliseconds)."""

    samples: Samples
    times: Samples

    def heard(self) -> Samples:
        """The samples from the first sound to the last."""
        loud = np.flatnonzero(self.samples)
        return self.samples[loud[0] : loud[-1] + 1] if loud.size else self.samples[:0]

    def silent_from(self, after_ms: float, seconds: float = 0.1) -> float:
        """The time of the first block, at or after `after_ms`, that begins a silence of this length."""
        blocks = np.abs(self.samples[: len(self.times) * QUANTUM]).reshape(-1, QUANTUM).max(axis=1)
        needed = int(seconds * OUTPUT_RATE / QUANTUM)
        for at in range(int(np.searchsorted(self.times, after_ms)), len(blocks) - needed):
            if not blocks[at : at + needed].any():
                return float(self.times[at])
        raise AssertionError("the sound never stopped")


def assert_same_sound(heard: Samples, sent: Samples) -> None:
    """Compares sample by sample. `heard` has no silence at its ends; `sent` may have some."""
    loud = np.flatnonzero(sent)
    part = sent[loud[0] : loud[-1] + 1]
    assert len(heard) == len(part), f"heard {len(heard)} samples of {len(part)}"
    assert np.array_equal(heard, part), f"first difference at {np.flatnonzero(heard != part)[0]}"


def level_db(samples: Samples, rate: int, hz: float, width: float = 40.0) -> float:
    """The strongest component within `width` of a frequency, in dB of full scale."""
    window = np.blackman(len(samples))
    spectrum = np.abs(np.fft.rfft(samples * window)) / (window.sum() / 2)
    at = np.fft.rfftfreq(len(samples), 1 / rate)
    return float(20 * np.log10(spectrum[np.abs(at - hz) < width].max() + 1e-12))


class Stage:
    """A page that records, on the origin of a StageServer. `faults` are errors on its console."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.faults: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.add_init_script(path=PAGES / "record.js")

    def _console(self, message: ConsoleMessage) -> None:
        address = str(message.location.get("url", ""))
        is_sign_in_check = address.endswith("/me") and "401" in message.text
        if message.type in ("error", "warning") and not is_sign_in_check:
            self.faults.append(f"{message.text} {address}")

    def recording(self) -> Recording:
        taken = self.page.evaluate("recording.take()")
        samples = np.frombuffer(base64.b64decode(taken["samples"]), dtype="<f4").astype(np.float64)
        times = np.frombuffer(base64.b64decode(taken["times"]), dtype="<f8")
        return Recording(samples, times)


class Bench(Stage):
    """The library behind one button (pages/bench.js)."""

    def open(self, bearer: str, *, prepare: bool = True, **options: Any) -> None:
        self.page.goto(f"{self.origin}/bench/bench.html")
        self.page.wait_for_function("globalThis.bench")
        self.page.evaluate("options => { bench.making = bench.make(options) }", {"bearer": bearer, **options})
        if prepare:
            self.page.evaluate("bench.making")

    def start(self, *, microphone: bool = True) -> Any:
        """Clicks the button. Returns None, or the LiveError that start() rejected with."""
        self.page.evaluate("options => { bench.options = options }", {"microphone": microphone})
        self.page.click("#go")
        refused = self.page.evaluate("bench.going")
        if refused is None:
            self.page.evaluate("Promise.all(recording.starts)")
        return refused

    def say(self, text: str) -> None:
        self.page.evaluate("text => bench.session.sendText(text)", text)

    def state(self) -> str:
        return str(self.page.evaluate("bench.session.state"))

    def events(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate("kind => bench.of(kind)", kind)
        return found

    def diagnostics(self) -> dict[str, Any]:
        report: dict[str, Any] = self.page.evaluate("bench.session.diagnostics()")
        return report

    def wait_state(self, state: str, seconds: float = 20.0) -> None:
        wait_for(f"state {state}", lambda: self.state() == state, seconds)

    def worker_ended(self) -> bool:
        self.page.evaluate("0")  # lets Playwright process pending events
        return self.page.workers == []

    def end(self) -> None:
        self.page.evaluate("bench.session.end()")


class Demo(Stage):
    """The demo page, used as a person does; its ids are a contract."""

    def open(self) -> None:
        self.page.goto(f"{self.origin}/")
        self.page.fill("#username", "demo")
        self.page.fill("#password", PASSWORD)
        self.page.click("#sign-in button[type=submit]")
        self.wait_state("idle")

    def state(self) -> str:
        return str(self.page.get_attribute("#status", "data-state"))

    def wait_state(self, state: str, seconds: float = 20.0) -> None:
        self.page.wait_for_selector(f"#status[data-state={state}]", timeout=seconds * 1000)

    def talk(self) -> None:
        self.page.click("#talk")

    def type(self, text: str) -> None:
        self.page.fill("#message", text)
        self.page.press("#message", "Enter")

    def captions(self, role: str) -> list[str]:
        return self.page.locator(f"#captions [data-role={role}] .words").all_inner_texts()
