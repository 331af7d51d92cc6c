"""A client of the Live API for the proof: one socket, its setup, and what the service answers.

It sends the token as browsers do, in the query of the address. No exception that leaves this module has the
address in it.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from broker.cli.proof.attacks import Attack, detection_is_off

OPEN_SECONDS = 10.0
INPUT_TYPE = "audio/pcm;rate=24000"
BYTES_PER_SECOND = 48000
"""Of the audio that models send: 24 kHz, 16 bits."""
# These close codes and texts speak of the service's state, not of what the client sent.
_OF_THE_SERVICE = ("quota", "exhausted", "internal error", "unavailable", "deadline expired")


class Ended(Exception):  # noqa: N818 - an outcome, not a fault
    """The service closed the connection because of what it was sent."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code, self.reason = code, reason


class Unclear(Exception):  # noqa: N818 - an outcome, not a fault
    """Nothing can be concluded: no answer in time, a network fault, or a fault of the service."""


@dataclass
class Answer:
    """What arrived until the end of a turn."""

    audio: bytearray = field(default_factory=bytearray)
    spoken: str = ""
    heard: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    """The names of all members of all messages, such as `serverContent.modelTurn`."""
    first_audio: float | None = None
    """By `time.perf_counter()`."""

    def add(self, message: Mapping[str, Any]) -> None:
        content = message.get("serverContent", {})
        self.members |= {name for name in message if name != "serverContent"}
        self.members |= {f"serverContent.{name}" for name in content}
        self.spoken += content.get("outputTranscription", {}).get("text", "")
        self.heard += content.get("inputTranscription", {}).get("text", "")
        self.usage = message.get("usageMetadata", self.usage)
        for part in content.get("modelTurn", {}).get("parts", []):
            self.members |= {f"part.{name}" for name in part}
            if data := part.get("inlineData", {}).get("data"):
                self.first_audio = self.first_audio or time.perf_counter()
                self.audio += base64.b64decode(data, altchars=b"-_" if set(data) & set("-_") else None)


class Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def is_compressed(self) -> bool:
        return bool(self._connection.protocol.extensions)

    def send(self, message: Any) -> None:
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        with suppress(ConnectionClosed):  # `receive` reports why
            self._connection.send(text)

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next message. Raises TimeoutError, `Ended` or `Unclear`."""
        try:
            message = json.loads(self._connection.recv(timeout=seconds))
        except ConnectionClosed as closed:
            raise _ended(closed) from None
        except ValueError:
            raise Unclear("a message that is not JSON") from None
        if not isinstance(message, dict):
            raise Unclear("a message that is no object")
        return message

    def begin(self, first: Mapping[str, Any] | Attack) -> None:
        """Sends the setup and waits until the service has accepted it."""
        if isinstance(first, Attack):
            self.send(first.first)
        else:
            self.send({"setup": dict(first)})
        try:
            answer = self.receive(OPEN_SECONDS)
        except TimeoutError:
            raise Unclear("no answer to the setup in time") from None
        if "setupComplete" not in answer:
            raise Unclear("an answer to the setup that is no setupComplete")

    def collect(self, seconds: float, answer: Answer | None = None) -> Answer:
        """Everything up to the end of the turn. Raises `Unclear` if it does not end in time."""
        answer, until = answer or Answer(), time.monotonic() + seconds
        while True:
            try:
                message = self.receive(max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise Unclear(f"no end of the answer within {seconds:.0f} s") from None
            answer.add(message)
            if message.get("serverContent", {}).get("turnComplete"):
                return answer

    def ask(self, text: str, seconds: float) -> Answer:
        self.send({"realtimeInput": {"text": text}})
        return self.collect(seconds)

    def play(self, audio: bytes, setup: Mapping[str, Any]) -> None:
        """Sends audio as the user's speech, with a pause after it."""
        marks = detection_is_off(setup)
        if marks:
            self.send({"realtimeInput": {"activityStart": {}}})
        sound = audio + (b"" if marks else bytes(2 * BYTES_PER_SECOND))
        for at in range(0, len(sound), BYTES_PER_SECOND // 10):
            data = base64.b64encode(sound[at : at + BYTES_PER_SECOND // 10]).decode()
            self.send({"realtimeInput": {"audio": {"data": data, "mimeType": INPUT_TYPE}}})
        if marks:
            self.send({"realtimeInput": {"activityEnd": {}}})


def with_token(url: str, token: str, name: str = "access_token") -> str:
    return f"{url}?{name}={quote(token, safe='/')}"


@contextmanager
def opened(address: str, **headers: str) -> Iterator[Socket]:
    """A socket before its setup. Raises `Ended` if the service refuses the upgrade with 4xx."""
    try:
        connection = connect(
            address,
            additional_headers=headers,
            proxy=None,
            max_size=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=2,
        )
    except InvalidStatus as refused:
        status = refused.response.status_code
        if 400 <= status < 500 and status not in (408, 429):
            raise Ended(status, "HTTP") from None
        raise Unclear(f"HTTP {status} at the upgrade") from None
    except (OSError, InvalidHandshake, TimeoutError) as fault:
        raise Unclear(f"not reachable ({type(fault).__name__})") from None
    with connection:
        yield Socket(connection)


def _ended(closed: ConnectionClosed) -> Exception:
    if closed.rcvd is None:
        return Unclear("the connection broke")
    reason = closed.rcvd.reason
    if any(word in reason.lower() for word in _OF_THE_SERVICE):
        return Unclear(f"closed with {closed.rcvd.code} {reason}")
    return Ended(closed.rcvd.code, reason)
