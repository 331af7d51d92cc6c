"""A plain Live API client for tests: mints with urllib, talks over a socket, keeps every frame."""

from __future__ import annotations

import base64
import json
import math
import time
import urllib.error
import urllib.request
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from broker.standin import StandIn

MODEL = "models/gemini-2.5-flash-native-audio-preview-09-2025"
SETUP: dict[str, Any] = {
    "model": MODEL,
    "generationConfig": {"responseModalities": ["AUDIO"]},
    "inputAudioTranscription": {},
    "outputAudioTranscription": {},
}
GET_TIME = {
    "functionDeclarations": [{"name": "get_time", "parameters": {"type": "OBJECT", "properties": {}}}]
}
PATIENCE = 10.0


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def call(
    url: str,
    body: Any = None,
    *,
    key: str | None = "test-key",
    method: str | None = None,
    timeout: float = PATIENCE,
) -> tuple[int, Any, dict[str, str]]:
    """Returns (status, JSON or text, headers) of one request. A `body` in bytes is sent as it is."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"x-goog-api-key": key} if key else {})
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
    try:
        with opener.open(request, timeout=timeout) as response:
            status, raw, got = response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as refused:
        with refused:
            status, raw, got = refused.code, refused.read(), dict(refused.headers)
    try:
        return status, json.loads(raw), got
    except ValueError:
        return status, raw.decode(), got


def mint(standin: StandIn, body: Any = None, version: str = "v1alpha", **options: Any) -> tuple[int, Any]:
    wanted = {} if body is None else body
    status, answer, _ = call(f"{standin.url}/{version}/auth_tokens", wanted, **options)
    return status, answer


def token(standin: StandIn, **body: Any) -> str:
    status, answer = mint(standin, body)
    assert status == 200, answer
    name: str = answer["name"]
    return name


def ahead(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def address(standin: StandIn, query: str = "", *, version: str = "v1alpha", constrained: bool = True) -> str:
    method = "BidiGenerateContentConstrained" if constrained else "BidiGenerateContent"
    base = standin.url.replace("http", "ws", 1)
    return f"{base}//ws/google.ai.generativelanguage.{version}.GenerativeService.{method}{query}"


def speech(seconds: float, hz: float = 300.0, level: float = 6000.0, rate: int = 16000) -> array[int]:
    step = 2 * math.pi * hz / rate
    return array("h", [round(level * math.sin(step * n)) for n in range(round(seconds * rate))])


def quiet(seconds: float, rate: int = 16000) -> array[int]:
    return array("h", bytes(2 * round(seconds * rate)))


class Talker:
    """An open socket and the frames that it received."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.frames: list[dict[str, Any]] = []
        self.kinds: set[type] = set()

    def send(self, message: Any) -> None:
        self.ws.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def text(self, text: str) -> None:
        self.send({"realtimeInput": {"text": text}})

    def audio(self, samples: array[int], mime: str = "audio/pcm;rate=16000") -> None:
        """In 20 ms messages, as the client library sends it."""
        for at in range(0, len(samples), 320):
            data = base64.b64encode(samples[at : at + 320].tobytes()).decode()
            self.send({"realtimeInput": {"audio": {"data": data, "mimeType": mime}}})

    def next(self, timeout: float = PATIENCE) -> dict[str, Any]:
        raw = self.ws.recv(timeout=timeout)
        self.kinds.add(type(raw))
        frame: dict[str, Any] = json.loads(raw)
        self.frames.append(frame)
        return frame

    def until(
        self, wanted: Callable[[dict[str, Any]], Any], timeout: float = PATIENCE
    ) -> list[dict[str, Any]]:
        """Every frame up to the first that fits."""
        start = len(self.frames)
        while not wanted(self.next(timeout)):
            pass
        return self.frames[start:]

    def turn(self) -> list[dict[str, Any]]:
        return self.until(lambda frame: frame.get("serverContent", {}).get("turnComplete"))

    def turn_within(self, seconds: float) -> None:
        """Waits so long for the end of a turn; TimeoutError when it does not come."""
        end = time.monotonic() + seconds
        while True:
            frame = self.next(max(0.0, end - time.monotonic()))
            if frame.get("serverContent", {}).get("turnComplete"):
                return

    def closing(self, timeout: float = PATIENCE) -> tuple[int, str]:
        """How the server ends it."""
        try:
            while True:
                self.next(timeout)
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Talker]:
    """A socket before its setup."""
    with connect(url, proxy=None, max_size=None, close_timeout=2, **options) as ws:
        yield Talker(ws)


@contextmanager
def session(standin: StandIn, setup: dict[str, Any] | None = None, **more: Any) -> Iterator[Talker]:
    """An open session with its own unlocked token, which outlives fast clocks."""
    name = token(standin, newSessionExpireTime=ahead(70_000), expireTime=ahead(70_000))
    with opened(address(standin, f"?access_token={name}")) as talker:
        talker.send({"setup": {**SETUP, **(setup or {}), **more}})
        assert talker.next() == {"setupComplete": {}}
        yield talker


def refused(standin: StandIn, name: str, setup: dict[str, Any] | None = None) -> tuple[int, str]:
    """Returns how a connection with this token ends if it sends its setup at once."""
    with opened(address(standin, f"?access_token={name}")) as talker:
        with suppress(ConnectionClosed):  # it may be closed before it has said anything
            talker.send({"setup": SETUP if setup is None else setup})
        return talker.closing()


def flags(frames: list[dict[str, Any]]) -> list[str]:
    """The order of events in a turn: audio (each run once), words, flags."""
    order: list[str] = []
    for frame in frames:
        for key in list(frame.get("serverContent", {})) + [k for k in frame if k != "serverContent"]:
            if not order or order[-1] != key:
                order.append(key)
    return order


def sound(frames: list[dict[str, Any]]) -> bytes:
    parts = [p for f in frames for p in f.get("serverContent", {}).get("modelTurn", {}).get("parts", [])]
    return b"".join(base64.b64decode(p["inlineData"]["data"]) for p in parts if "inlineData" in p)


def words(frames: list[dict[str, Any]], key: str = "outputTranscription") -> str:
    return "".join(f.get("serverContent", {}).get(key, {}).get("text", "") for f in frames)
