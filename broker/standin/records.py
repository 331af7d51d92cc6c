"""Records of what the stand-in received and sent: requests, frames with times, audio in both directions.

`control.py` returns these shapes. They hold no key and no token, only a token's SHA-256. Audio and frames are
bounded: the oldest connections lose theirs first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

KEPT_CONNECTIONS = 100
KEPT_MINTS = 10_000
KEPT_FRAMES = 30_000
KEPT_AUDIO_BYTES = 48_000 * 600
KEPT_IN_ALL = 200_000_000  # bytes, roughly, over all connections
FRAME_BYTES = 1500  # what one recorded frame takes
VERBATIM_CHARACTERS = 64  # longer base64 is recorded as its size


def epoch_ms() -> float:
    """Wall-clock time, comparable with a page's Date.now()."""
    return round(time.time() * 1000, 1)


def summary(value: Any) -> Any:
    """A frame with its long base64 replaced by sizes."""
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, list):
        return [summary(item) for item in value]
    if not isinstance(value, dict):
        return value
    short = {}
    for key, item in value.items():
        if key == "data" and isinstance(item, str) and len(item) > VERBATIM_CHARACTERS:
            short[key] = {"bytes": len(item) * 3 // 4 - item[-2:].count("="), "base64_chars": len(item)}
        else:
            short[key] = summary(item)
    return short


@dataclass
class TurnRecord:
    """One answer: its range in the connection's sent audio, and the times of its events."""

    number: int
    start: int
    end: int
    text: str = ""
    started_ms: float = 0.0
    first_audio_ms: float | None = None
    generation_complete_ms: float | None = None
    interrupted_ms: float | None = None
    turn_complete_ms: float | None = None
    tokens: dict[str, Any] | None = None  # its usageMetadata, as if there were only one


@dataclass
class ConnectionRecord:
    number: int
    path: str
    method: str
    version: str
    auth: str  # query | header | key | none
    token_sha256: str | None
    headers: dict[str, str]
    opened_ms: float = field(default_factory=epoch_ms)
    setup: dict[str, Any] | None = None
    effective_setup: dict[str, Any] | None = None
    resumed: bool = False
    ready_ms: float | None = None
    received: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    speech: list[dict[str, Any]] = field(default_factory=list)
    turns: list[TurnRecord] = field(default_factory=list)
    audio_in: bytearray = field(default_factory=bytearray)
    audio_out: bytearray = field(default_factory=bytearray)
    audio_frames: int = 0
    pictures: int = 0
    closed: dict[str, Any] | None = None

    def note_received(self, frame: Any, size: int, kind: str) -> None:
        if len(self.received) < KEPT_FRAMES:
            self.received.append({"ms": epoch_ms(), "size": size, "kind": kind, "frame": summary(frame)})

    def note_sent(self, frame: Any, size: int) -> None:
        if len(self.sent) < KEPT_FRAMES:
            self.sent.append({"ms": epoch_ms(), "size": size, "frame": summary(frame)})

    def note_audio_in(self, pcm: bytes) -> None:
        self.audio_frames += 1
        if len(self.audio_in) < KEPT_AUDIO_BYTES:
            self.audio_in += pcm

    def note_audio_out(self, pcm: bytes) -> None:
        if len(self.audio_out) < KEPT_AUDIO_BYTES:
            self.audio_out += pcm

    def weight(self) -> int:
        frames = len(self.received) + len(self.sent)
        return len(self.audio_in) + len(self.audio_out) + frames * FRAME_BYTES

    def forget_details(self) -> None:
        self.audio_in, self.audio_out = bytearray(), bytearray()
        self.received, self.sent, self.turns = [], [], []

    def overview(self) -> dict[str, Any]:
        """Copies, because another thread reads them."""
        left_out = ("audio_in", "audio_out", "sent", "turns")
        plain = {
            name: list(value) if isinstance(value, list) else value
            for name, value in self.__dict__.items()
            if name not in left_out
        }
        plain["setup"], plain["effective_setup"] = summary(self.setup), summary(self.effective_setup)
        plain["audio_in_seconds"] = len(self.audio_in) / 32000
        plain["audio_out_seconds"] = len(self.audio_out) / 48000
        return plain


class Records:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.mints: list[dict[str, Any]] = []
        self.other: list[dict[str, Any]] = []
        self.connections: dict[int, ConnectionRecord] = {}
        self._opened = 0

    def note_mint(self, entry: dict[str, Any]) -> None:
        if len(self.mints) < KEPT_MINTS:
            self.mints.append(entry)

    def note_other(self, entry: dict[str, Any]) -> None:
        """Requests for models, followed redirects and unknown addresses."""
        if len(self.other) < KEPT_MINTS:
            self.other.append(entry)

    def open(self, **about: Any) -> ConnectionRecord:
        self._opened += 1
        record = ConnectionRecord(number=self._opened, **about)
        self.connections[record.number] = record
        while len(self.connections) > KEPT_CONNECTIONS:
            del self.connections[next(iter(self.connections))]
        self._thin()
        return record

    def _thin(self) -> None:
        """Old conversations lose their details, so that a stand-in can run for days."""
        total = 0
        for record in reversed(self.connections.values()):
            total += record.weight()
            if total > KEPT_IN_ALL and record.closed:
                record.forget_details()

    def connection(self, number: int | None) -> ConnectionRecord:
        """The connection with this number, or the last one."""
        wanted = self._opened if number is None else number
        if wanted not in self.connections:
            raise ValueError(f"no connection {wanted}")
        return self.connections[wanted]
