"""Turns: sends one answer at a time, faster than it plays, and ends or interrupts it as Google does.

Keeps the order of frames: audio with transcription, generationComplete, and turnComplete once the audio would
have been heard; or interrupted, then turnComplete. Queues turns. A script supplies the answer.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from broker.standin import usage
from broker.standin.clock import Clock
from broker.standin.conversations import Conversation
from broker.standin.models import Model
from broker.standin.pacing import BYTES_PER_SECOND, Pacing, sized
from broker.standin.records import ConnectionRecord, TurnRecord, epoch_ms
from broker.standin.scenarios import Scenarios
from broker.standin.tools import Tools
from broker.standin.voice import RATE, Answer

WORDS_PER_FRAGMENT = 3


class TurnConnection(Protocol):
    """The part of a connection that a turn uses."""

    clock: Clock
    scenarios: Scenarios
    record: ConnectionRecord
    model: Model
    setup: dict[str, Any]
    conversation: Conversation
    tools: Tools

    async def send(self, frame: dict[str, Any]) -> None: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    async def turn_ended(self) -> None: ...


class Turn:
    def __init__(self, connection: TurnConnection) -> None:
        self._connection = connection
        self.generating = True
        self.over = False
        self.calls: list[str] = []  # ids that this turn waits for
        self._seconds = 0.0  # of audio sent so far
        self._thoughts = 0  # tokens
        self._counted: Counter[str] | None = None  # the response that the turn's usageMetadata have counted
        self.unsent: deque[str] = deque()  # the words that were not sent yet
        self.text = ""
        self.reason = ""  # turnCompleteReason
        self.audible_until = connection.clock.now()
        size = len(connection.record.audio_out)
        self.record = TurnRecord(len(connection.record.turns) + 1, size, size, started_ms=epoch_ms())
        connection.record.turns.append(self.record)

    async def say(self, answer: Answer, speed: float = 0.0) -> None:
        """Sends an answer. With `speed` 0 the scenarios decide the pace."""
        connection = self._connection
        if answer.thought:
            self._thoughts += usage.text_tokens(answer.thought)
            await connection.send(_content(modelTurn=_model_turn({"text": answer.thought, "thought": True})))
        fragments = self.unsent = _fragments(answer.text)
        pace = Pacing(connection.clock, connection.scenarios, speed)
        start = max(self.audible_until, connection.clock.now())
        sent = 0.0
        total = len(fragments)
        for data in sized(answer.chunks(), connection.scenarios):
            await pace.wait(sent)
            due = total - len(fragments) <= total * sent / max(answer.seconds, 0.001)
            await self._audio(data, fragments.popleft() if fragments and due else "")
            sent += len(data) / BYTES_PER_SECOND
            self.audible_until = start + sent
        while fragments:
            await self.transcript(fragments.popleft())
        if answer.grounding:
            await connection.send(_content(groundingMetadata=answer.grounding))

    async def _audio(self, data: bytes, fragment: str) -> None:
        connection = self._connection
        connection.record.note_audio_out(data)
        self._seconds += len(data) / BYTES_PER_SECOND
        self.record.end = len(connection.record.audio_out)
        self.record.first_audio_ms = self.record.first_audio_ms or epoch_ms()
        wire = data + b"\x01" if connection.scenarios.peek("odd-bytes") is not None else data
        blob = {"mimeType": f"audio/pcm;rate={RATE}", "data": base64.b64encode(wire).decode()}
        frame = _content(modelTurn=_model_turn({"inlineData": blob}))
        if fragment and connection.model.combines and "outputAudioTranscription" in connection.setup:
            frame["serverContent"]["outputTranscription"] = {"text": fragment}
            self._said(fragment)
            fragment = ""
        if counts := self._usage_so_far():
            frame["usageMetadata"] = counts
        await connection.send(frame)
        if fragment:
            await self.transcript(fragment)

    async def transcript(self, fragment: str) -> None:
        self._said(fragment)
        if "outputAudioTranscription" in self._connection.setup:
            await self._connection.send(_content(outputTranscription={"text": fragment}))

    def _said(self, fragment: str) -> None:
        self.text += fragment
        self.record.text = self.text

    def _usage_so_far(self) -> dict[str, Any] | None:
        """The usageMetadata for a frame in mid-turn: usually none."""
        scenarios = self._connection.scenarios
        more = scenarios.peek("usage-cumulative") or scenarios.peek("usage-per-message")
        said = usage.audio_tokens(self._seconds) - (self._counted or Counter())["AUDIO"]
        if more is None or said < usage.audio_tokens(float(more["seconds"])):
            return None
        return self._usage()

    def _usage(self) -> dict[str, Any]:
        """Counts the turn so far or, with `usage-per-message`, only what no message has counted."""
        earlier, self._counted = self._counted, self._response
        if earlier is None or self._connection.scenarios.peek("usage-per-message") is None:
            return usage.metadata(self._connection.conversation.context, self._response, self._thoughts)
        return usage.metadata(Counter(), self._response - earlier)

    @property
    def _response(self) -> Counter[str]:
        return Counter(AUDIO=usage.audio_tokens(self._seconds))

    async def complete(self) -> None:
        """Ends the turn normally."""
        connection = self._connection
        if connection.scenarios.use("no-turn-complete") is not None:
            await asyncio.Event().wait()
        if self.text or self._seconds:
            await connection.send(_content(generationComplete=True))
            self.record.generation_complete_ms = epoch_ms()
        self.generating = False
        await connection.clock.sleep_until(self.audible_until)
        await self.finish()

    async def finish(self) -> None:
        """Sends turnComplete. An interrupted turn gets it too."""
        connection = self._connection
        content: dict[str, Any] = {"turnComplete": True}
        if self.reason:
            content["turnCompleteReason"] = self.reason
        if connection.model.tells_status:
            content["interactionStatus"] = "IN_PROGRESS" if connection.tools.waiting else "IDLE"
        counts = self._usage()
        context = connection.conversation.context
        self.record.tokens = usage.metadata(context, self._response, self._thoughts)
        context.update(self._response)
        if self.text:
            connection.conversation.history.append(("model", self.text))
        self.over = True
        self.record.turn_complete_ms = epoch_ms()
        await connection.send({"serverContent": content, "usageMetadata": counts})
        await connection.turn_ended()


Script = Callable[[Turn], Awaitable[None]]


class Turns:
    def __init__(self, connection: TurnConnection) -> None:
        self._connection = connection
        self._waiting: deque[Script] = deque()
        self._turn: Turn | None = None
        self._task: asyncio.Task[None] | None = None
        self._late: list[tuple[dict[str, Any], float]] = []

    @property
    def generating(self) -> bool:
        return self._turn is not None and self._turn.generating

    def begin(self, script: Script) -> None:
        """Starts the turn, or queues it behind the current one."""
        if self._turn is not None:
            self._waiting.append(script)
            return
        self._turn = Turn(self._connection)
        self._task = self._connection.spawn(self._run(self._turn, script))

    async def _run(self, turn: Turn, script: Script) -> None:
        await script(turn)
        await turn.complete()
        late, self._late = self._late, []
        for frame, seconds in late:
            self._connection.spawn(self._send_later(frame, seconds))
        self._turn = self._task = None
        if self._waiting:
            self.begin(self._waiting.popleft())

    def send_late(self, frame: dict[str, Any], seconds: float) -> None:
        """Sends a frame so many seconds after the end of the next turn that ends by itself."""
        self._late.append((frame, seconds))

    async def _send_later(self, frame: dict[str, Any], seconds: float) -> None:
        await self._connection.clock.sleep(seconds)
        await self._connection.send(frame)

    async def interrupt(self) -> None:
        """Ends the current turn, whether or not it was heard, and drops the queue."""
        turn, task = self._turn, self._task
        self._waiting.clear()
        if turn is None or task is None or turn.over:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._turn = self._task = None
        turn.record.interrupted_ms = epoch_ms()
        cancelled, turn.calls = turn.calls, []
        early = self._connection.scenarios.peek("cancellation-first") is not None
        if early:
            await self._cancel(cancelled)
        await self._connection.send(_content(interrupted=True))
        late = self._connection.scenarios.use("late-words") is not None
        if late and turn.unsent:
            await turn.transcript(turn.unsent.popleft())
        if not early:
            await self._cancel(cancelled)
        await turn.finish()
        if late and turn.unsent:
            await turn.transcript(turn.unsent.popleft())

    async def _cancel(self, calls: list[str]) -> None:
        if calls:
            self._connection.tools.cancel(calls)
            await self._connection.send({"toolCallCancellation": {"ids": calls}})


def _fragments(text: str) -> deque[str]:
    words = text.split(" ") if text else []
    cut = range(0, len(words), WORDS_PER_FRAGMENT)
    parts = [" ".join(words[at : at + WORDS_PER_FRAGMENT]) for at in cut]
    return deque(part + " " for part in parts[:-1]) + deque(parts[-1:])


def _content(**content: Any) -> dict[str, Any]:
    return {"serverContent": content}


def _model_turn(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": [part]}
