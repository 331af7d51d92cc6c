"""Handles the client's messages: speech, text, function results, new context.

Decides what each message causes within a session: an answer, an interruption, a new setting. `connection.py`
owns the connection's life.
"""

from __future__ import annotations

from typing import Any, Protocol

from broker.standin import commands, usage, voice
from broker.standin.close_reasons import CLOSES, Refused
from broker.standin.dictation import Dictation
from broker.standin.frames import Frames
from broker.standin.locking import locks
from broker.standin.records import epoch_ms
from broker.standin.speech_input import Event, SpeechInput
from broker.standin.tokens import Token
from broker.standin.tools import Call
from broker.standin.turns import Script, Turns
from broker.standin.vad import RATE, SpeechStarted

# MIME type -> how such a file starts
PICTURES = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG"}


class MessageConnection(commands.CommandConnection, Protocol):
    """The part of a connection that message handling uses."""

    frames: Frames
    turns: Turns
    token: Token | None


class Messages:
    def __init__(self, connection: MessageConnection) -> None:
        self._connection = connection
        lenient = connection.scenarios.peek("lenient-activity") is not None
        self._speech_input = SpeechInput(connection.setup, lenient)
        self._seeding = connection.setup.get("historyConfig", {}).get("initialHistoryInClientContent", False)
        realtime = connection.setup.get("realtimeInputConfig", {})
        self._interrupts = realtime.get("activityHandling") != "NO_INTERRUPTION"
        self._window_text: list[str] = []
        self._unanswered: Script | None = None
        self._dictation = Dictation(connection.setup) if connection.model.writes else None

    async def take(self, message: dict[str, Any]) -> None:
        if "setup" in message:
            raise Refused(CLOSES["setup-first"])
        if len(message) != 1:
            raise Refused(CLOSES["invalid-argument"])
        for kind, content in message.items():
            await _HANDLERS[kind](self, content)

    async def on_realtime(self, content: dict[str, Any]) -> None:
        if "mediaChunks" in content:
            raise Refused(CLOSES["media-chunks"])
        if "activityStart" in content:
            await self._events(self._speech_input.activity_start())
        if "audio" in content:
            samples, events = self._speech_input.audio(
                content["audio"].get("mimeType", ""), content["audio"].get("data", b"")
            )
            self._connection.record.note_audio_in(samples.tobytes())
            await self._events(events)
            heard = len(samples) / RATE if self._speech_input.speaking else 0.0
            if self._dictation and (guess := self._dictation.guess(heard)):
                await self._connection.send(guess)
        if "video" in content:
            self._picture(content["video"])
        if "text" in content:
            await self._typed(content["text"])
        if "activityEnd" in content:
            await self._events(self._speech_input.activity_end())
        if content.get("audioStreamEnd"):
            await self._events(self._speech_input.stream_end())
            self._go_on()

    def _picture(self, blob: dict[str, Any]) -> None:
        start = PICTURES.get(blob.get("mimeType", "").lower())
        if start is None or not blob.get("data", b"").startswith(start):
            raise Refused(CLOSES["invalid-argument"])
        self._connection.record.pictures += 1
        self._connection.conversation.pictures += 1
        self._connection.conversation.context["IMAGE"] += usage.image_tokens(self._connection.setup)

    async def _events(self, events: list[Event]) -> None:
        for event in events:
            started = isinstance(event, SpeechStarted)
            self._connection.record.speech.append(
                {
                    "ms": epoch_ms(),
                    "kind": "start" if started else "end",
                    "offset_seconds": event.offset_seconds,
                }
            )
            if self._connection.model.tells_activity:
                kind = "ACTIVITY_START" if started else "ACTIVITY_END"
                activity = {"type": kind, "audioOffset": f"{event.offset_seconds:.3f}s"}
                await self._connection.send({"serverContent": {}, "voiceActivity": activity})
            if isinstance(event, SpeechStarted):
                await self._interrupt()
            elif self._dictation:
                await self._connection.send(self._dictation.segment(event.seconds, event.offset_seconds))
            else:
                await self._spoken(event.samples, event.seconds)

    async def _spoken(self, samples: Any, seconds: float) -> None:
        typed, self._window_text = " ".join(self._window_text), []
        self._connection.conversation.context["AUDIO"] += usage.audio_tokens(seconds)
        heard = f"(you spoke for {seconds:.1f} seconds)"
        self._connection.conversation.history.append(("user", heard))
        await self._transcribe(heard)
        if typed:
            self._answer_text(typed)
        elif call := self._connection.scenarios.use("tool-on-speech"):
            named = [str(call["function"])] if call["function"] else []
            self._begin(commands.calling(self._connection, named, None))
        elif tone := self._connection.scenarios.use("answer-tone"):
            self._begin(commands.saying(voice.tone(float(tone["hz"]), float(tone["seconds"]))))
        else:
            text = f"You said something that took {seconds:.1f} seconds; here it is."
            self._begin(commands.saying(voice.repeat(samples, text)))

    async def _transcribe(self, heard: str) -> None:
        connection = self._connection
        if "inputAudioTranscription" not in connection.setup:
            return
        frame = {"serverContent": {"inputTranscription": {"text": heard}}}
        if late := connection.scenarios.use("late-transcript"):
            connection.turns.send_late(frame, float(late["seconds"]))
        else:
            await connection.send(frame)

    async def _typed(self, text: str) -> None:
        if self._speech_input.manual and self._speech_input.speaking:  # belongs to the open activity
            self._window_text.append(text)
            return
        await self._interrupt()
        self._answer_text(text)

    def _answer_text(self, text: str) -> None:
        self._connection.conversation.history.append(("user", text))
        self._connection.conversation.context["TEXT"] += usage.text_tokens(text)
        script = commands.answer(self._connection, text)
        if script:
            self._begin(script)

    def _begin(self, script: Script) -> None:
        if self._dictation or self._connection.scenarios.peek("mute") is not None:
            return
        self._unanswered = script
        if self._connection.scenarios.use("model-silent") is not None:
            return
        if empty := self._connection.scenarios.use("empty-turn"):
            self._connection.turns.begin(commands.ending(str(empty["reason"])))
            return
        self._unanswered = None
        slow = self._connection.scenarios.use("answer-slow")
        if slow is None:
            self._connection.turns.begin(script)
            return

        async def later(turn: Any) -> None:
            await self._connection.clock.sleep(float(slow["seconds"]))
            await script(turn)

        self._connection.turns.begin(later)

    def _go_on(self) -> None:
        """Answers what has no answer yet, if there is something."""
        if self._unanswered:
            self._begin(self._unanswered)

    async def _interrupt(self, forced: bool = False) -> None:
        if (self._interrupts or forced) and self._connection.scenarios.peek("deaf") is None:
            await self._connection.turns.interrupt()

    async def on_content(self, content: dict[str, Any]) -> None:
        turns = content.get("turns", [])
        said = [" ".join(p["text"] for p in turn.get("parts", []) if "text" in p) for turn in turns]
        complete = content.get("turnComplete", False)
        if not all(turn.get("role", "user") in ("user", "model", "") for turn in turns):
            raise Refused(CLOSES["role"])
        if not self._seeding and (complete or self._connection.model.content_interrupts):
            await self._interrupt(forced=True)
        last = ""
        for turn, text in zip(turns, said, strict=True):
            for part in turn.get("parts", []):
                if "inlineData" in part:
                    self._picture(part["inlineData"])
            if complete and not self._seeding and turn is turns[-1] and turn.get("role", "user") == "user":
                last = text  # this turn gets the answer and is recorded there
                continue
            self._connection.conversation.history.append((turn.get("role", "user"), text))
            self._connection.conversation.context["TEXT"] += usage.text_tokens(text)
        if complete and self._seeding:  # the history is complete and gets no answer
            self._seeding = False
        elif complete:
            if last:
                self._answer_text(last)
            else:
                self._begin(self._unanswered or commands.saying(voice.chimes("I am listening.")))

    async def on_tool_response(self, content: dict[str, Any]) -> None:
        answers = content.get("functionResponses", [])
        if not answers or not all("response" in answer for answer in answers):
            raise Refused(CLOSES["invalid-argument"])
        for answer in answers:
            call = self._answered(answer)
            if call is None:
                continue
            if call.answer:
                if not call.answer.done():
                    call.answer.set_result(answer)
                continue
            scheduling = (
                answer.get("scheduling", "WHEN_IDLE") if self._connection.model.scheduling else "WHEN_IDLE"
            )
            if scheduling == "INTERRUPT":
                await self._interrupt(forced=True)
            if scheduling == "SILENT":
                if self._connection.model.tells_status and not self._connection.tools.waiting:
                    await self._connection.send({"serverContent": {"interactionStatus": "IDLE"}})
            else:
                self._begin(commands.saying(voice.chimes(commands.result_text([answer]))))

    def _answered(self, answer: dict[str, Any]) -> Call | None:
        """The call that this answers; None if it was cancelled. Puts its name into an answer without one."""
        try:
            call = self._connection.tools.take(answer.get("id", ""), keep=answer.get("willContinue", False))
        except KeyError:
            raise Refused(CLOSES[self._connection.scenarios.text("unknown-name", "call")]) from None
        if call and answer.setdefault("name", call.name) != call.name:
            raise Refused(CLOSES["invalid-argument"])
        return call

    async def on_context_update(self, content: dict[str, Any]) -> None:
        """It is unknown whether a token's lock binds this at Google. Here it does only with a scenario."""
        binds = self._connection.scenarios.peek("context-update-locked") is not None
        changes = {"systemInstruction": content.get("systemInstruction")}
        changes["tools"] = content["tools"].get("tools", []) if "tools" in content else None
        for field, value in changes.items():
            locked = self._connection.token and locks(
                self._connection.token.setup, self._connection.token.mask, field
            )
            if value is not None and not (binds and locked):
                self._connection.setup[field] = value
        self._connection.record.effective_setup = self._connection.setup


_HANDLERS: dict[str, Any] = {
    "realtimeInput": Messages.on_realtime,
    "clientContent": Messages.on_content,
    "toolResponse": Messages.on_tool_response,
    "contextUpdate": Messages.on_context_update,
}
