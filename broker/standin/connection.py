"""One open connection after setupComplete: reads the client's messages and decides what each brings about.

Owns the order of things within a session: interruption, seeding of history, function answers, resumption
updates, and the watches that end it (silence, the token's end, the connection's length). Needs ear, voice,
turns.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable
from typing import Any, Literal

from aiohttp import WSMsgType, web

from broker.standin import commands, protojson, usage, voice
from broker.standin.hearing import Event, Hearing
from broker.standin.locking import locks
from broker.standin.memory import Conversation
from broker.standin.models import Model
from broker.standin.records import ConnectionRecord, epoch_ms
from broker.standin.texts import CLOSES, Close, Refused
from broker.standin.tokens import Token
from broker.standin.tools import Tools
from broker.standin.turns import Script, Turns
from broker.standin.vad import SpeechStarted
from broker.standin.world import World

log = logging.getLogger("broker.standin")

Ending = Close | Literal["drop", "gone"]
UPDATE_SECONDS = 1.0
FIRST_UPDATE_SECONDS = 0.1
GO_AWAY_SECONDS = 50.0


class Channel:
    """JSON frames over one socket, recorded both ways."""

    def __init__(self, ws: web.WebSocketResponse, record: ConnectionRecord, world: World) -> None:
        self.ws = ws
        self.record = record
        self._world = world

    async def send(self, frame: dict[str, Any]) -> None:
        raw = json.dumps(frame, separators=(",", ":"))
        await self.send_raw(raw)
        self.record.note_sent(frame, len(raw))

    async def send_raw(self, raw: str) -> None:
        """A line that broke under a frame is the reader's to notice: it ends the connection."""
        try:
            if self._world.scenarios.peek("text-frames") is not None:
                await self.ws.send_str(raw)
            else:
                await self.ws.send_bytes(raw.encode())
        except ConnectionError:
            log.debug("the line broke while sending")

    async def receive(self, version: str) -> dict[str, Any] | None:
        """The next message, checked; None when the client is gone."""
        message = await self.ws.receive()
        if message.type is WSMsgType.CLOSE:
            self.record.closed = {"by": "client", "code": message.data, "reason": message.extra or ""}
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        kind = "text" if message.type is WSMsgType.TEXT else "binary"
        size = len(message.data)
        try:
            value = protojson.load(message.data)
            self.record.note_received(value, size, kind)
            return protojson.read("ClientMessage", value, version)
        except protojson.BadMessage as fault:
            raise Refused(Close(1007, fault.text)) from None


class Connection:
    def __init__(
        self,
        world: World,
        channel: Channel,
        version: str,
        model: Model,
        setup: dict[str, Any],
        conversation: Conversation,
        token: Token | None,
    ) -> None:
        self.world, self.clock, self.scenarios = world, world.clock, world.scenarios
        self.record, self.send = channel.record, channel.send
        self.channel, self._version, self._token = channel, version, token
        self.model, self.setup, self.conversation = model, setup, conversation
        self.tools = Tools()
        self.turns = Turns(self)
        self._hearing = Hearing(setup)
        self._seeding = setup.get("historyConfig", {}).get("initialHistoryInClientContent", False)
        realtime = setup.get("realtimeInputConfig", {})
        self._interrupts = realtime.get("activityHandling") != "NO_INTERRUPTION"
        self._window_text: list[str] = []
        self._heard_at = self._updated_at = self.clock.now()
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life ---------------------------------------------------------------------------------------------

    async def run(self) -> Ending:
        """Until something ends it; tells what."""
        for work in (self._read(), self._first_update(), self._watch_silence(), self._watch_length()):
            self.spawn(work)
        if self._token:
            self._after(self._token.expires_at - self.clock.now(), CLOSES["token-ran-out"])
        if drop := self.scenarios.use("drop"):
            self._after(float(drop["after_seconds"]), "drop")
        if close := self.scenarios.use("close"):
            named = (
                Close(int(close["code"]), str(close["reason"])) if close["code"] else CLOSES[close["close"]]
            )
            self._after(float(close["after_seconds"]), named)
        if away := self.scenarios.use("go-away"):
            self.spawn(self._scenario_go_away(away))
        try:
            return await self._ending
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Refused as refused:
            self.end(refused.close)
        except Exception:  # a fault of the stand-in: seen in its log, and as Google's would be
            log.exception("the stand-in failed in a connection")
            self.end(CLOSES["internal"])

    def end(self, ending: Ending) -> None:
        if not self._ending.done():
            self._ending.set_result(ending)

    def _after(self, seconds: float, ending: Ending) -> None:
        async def work() -> None:
            await self.clock.sleep(seconds)
            self.end(ending)

        self.spawn(work())

    async def _watch_silence(self) -> None:
        while (left := self._heard_at + self.scenarios.number("idle", "seconds") - self.clock.now()) > 0:
            await self.clock.sleep(min(left, 1.0))
        self.end(CLOSES["aborted"])

    async def _watch_length(self) -> None:
        length = self.scenarios.number("connection-length", "seconds")
        notice = min(GO_AWAY_SECONDS, length / 2)
        await self.clock.sleep(length - notice)
        await self.go_away(notice, CLOSES["stayed-past-go-away"])

    async def _scenario_go_away(self, away: dict[str, Any]) -> None:
        await self.clock.sleep(float(away["after_seconds"]))
        await self.go_away(float(away["time_left_seconds"]), CLOSES.get(str(away["close"])))

    async def go_away(self, seconds: float, close: Close | None) -> None:
        await self.send({"goAway": {"timeLeft": f"{seconds:g}s"}})
        await self.clock.sleep(seconds)
        if close:
            self.end(close)

    # -- resumption updates: about one a second, and only in reaction to the client ------------------------

    async def _first_update(self) -> None:
        await self.clock.sleep(FIRST_UPDATE_SECONDS)
        await self._update()

    async def _update(self) -> None:
        self._updated_at = self.clock.now()
        wanted = self.scenarios.peek("resumption-updates")
        mode = wanted["mode"] if wanted else ""
        if mode == "none":
            return
        update: dict[str, Any] = {}
        if mode == "not-resumable" or (not mode and (self.turns.generating or self.tools.waiting)):
            update = {"resumable": False}
        elif not mode:
            update = {"newHandle": self.world.memory.handle(self.conversation), "resumable": True}
        await self.send({"sessionResumptionUpdate": update})

    # -- messages -----------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while (message := await self.channel.receive(self._version)) is not None:
            self._heard_at = self.clock.now()
            if len(message) != 1 or "setup" in message:  # exactly one thing a message; setup came already
                raise Refused(CLOSES["invalid-argument"])
            for kind, content in message.items():
                await _HANDLERS[kind](self, content)
            if self.clock.now() - self._updated_at >= UPDATE_SECONDS:
                await self._update()
        self.end("gone")

    async def on_realtime(self, content: dict[str, Any]) -> None:
        if "mediaChunks" in content:
            raise Refused(CLOSES["media-chunks"])
        if "activityStart" in content:
            await self._events(self._hearing.activity_start())
        if "audio" in content:
            samples, events = self._hearing.audio(
                content["audio"].get("mimeType", ""), content["audio"].get("data", b"")
            )
            self.record.note_audio_in(samples.tobytes())
            await self._events(events)
        if "video" in content:
            self._picture(content["video"])
        if "text" in content:
            await self._typed(content["text"])
        if "activityEnd" in content:
            await self._events(self._hearing.activity_end())
        if content.get("audioStreamEnd"):
            await self._events(self._hearing.stream_end())

    def _picture(self, blob: dict[str, Any]) -> None:
        if not blob.get("mimeType", "").startswith("image/"):
            raise Refused(CLOSES["invalid-argument"])
        self.record.pictures += 1
        self.conversation.pictures += 1
        self.conversation.context["IMAGE"] += usage.image_tokens(self.setup)

    async def _events(self, events: list[Event]) -> None:
        for event in events:
            started = isinstance(event, SpeechStarted)
            self.record.speech.append(
                {
                    "ms": epoch_ms(),
                    "kind": "start" if started else "end",
                    "offset_seconds": event.offset_seconds,
                }
            )
            if self.model.tells_activity:
                kind = "ACTIVITY_START" if started else "ACTIVITY_END"
                activity = {"type": kind, "audioOffset": f"{event.offset_seconds:.3f}s"}
                await self.send({"serverContent": {}, "voiceActivity": activity})
            if isinstance(event, SpeechStarted):
                await self._interrupt()
            else:
                await self._spoken(event.samples, event.seconds)

    async def _spoken(self, samples: Any, seconds: float) -> None:
        typed, self._window_text = " ".join(self._window_text), []
        self.conversation.context["AUDIO"] += usage.audio_tokens(seconds)
        heard = f"(you spoke for {seconds:.1f} seconds)"
        self.conversation.history.append(("user", heard))
        if "inputAudioTranscription" in self.setup:
            await self.send({"serverContent": {"inputTranscription": {"text": heard}}})
        if typed:
            self._answer_text(typed)
        elif call := self.scenarios.use("tool-on-speech"):
            named = [str(call["function"])] if call["function"] else []
            self._begin(commands.calling(self, named, None))
        elif tone := self.scenarios.use("answer-tone"):
            self._begin(commands.saying(voice.tone(float(tone["hz"]), float(tone["seconds"]))))
        else:
            text = f"You said something that took {seconds:.1f} seconds; here it is."
            self._begin(commands.saying(voice.repeat(samples, text)))

    async def _typed(self, text: str) -> None:
        if self._hearing.manual and self._hearing.speaking:  # belongs to the open activity
            self._window_text.append(text)
            return
        await self._interrupt()
        self._answer_text(text)

    def _answer_text(self, text: str) -> None:
        self.conversation.history.append(("user", text))
        self.conversation.context["TEXT"] += usage.text_tokens(text)
        script = commands.answer(self, text)
        if script:
            self._begin(script)

    def _begin(self, script: Script) -> None:
        if self.scenarios.peek("mute") is not None:
            return
        slow = self.scenarios.use("answer-slow")
        if slow is None:
            self.turns.begin(script)
            return

        async def later(turn: Any) -> None:
            await self.clock.sleep(float(slow["seconds"]))
            await script(turn)

        self.turns.begin(later)

    async def _interrupt(self, forced: bool = False) -> None:
        if self._interrupts or forced:
            await self.turns.interrupt()

    async def on_content(self, content: dict[str, Any]) -> None:
        turns = content.get("turns", [])
        said = [" ".join(p["text"] for p in turn.get("parts", []) if "text" in p) for turn in turns]
        complete = content.get("turnComplete", False)
        last = ""
        for turn, text in zip(turns, said, strict=True):
            for part in turn.get("parts", []):
                if "inlineData" in part:
                    self._picture(part["inlineData"])
            if complete and not self._seeding and turn is turns[-1] and turn.get("role", "user") == "user":
                last = text  # the one to answer, which notes itself
                continue
            self.conversation.history.append((turn.get("role", "user"), text))
            self.conversation.context["TEXT"] += usage.text_tokens(text)
        if complete and self._seeding:  # history is in, no answer to it
            self._seeding = False
        elif complete:
            await self._interrupt(forced=True)
            self._answer_text(last) if last else self._begin(commands.saying(voice.chimes("I am listening.")))

    async def on_tool_response(self, content: dict[str, Any]) -> None:
        for answer in content.get("functionResponses", []):
            try:
                call = self.tools.take(answer.get("id", ""), keep=answer.get("willContinue", False))
            except KeyError:
                raise Refused(CLOSES["invalid-argument"]) from None
            if call is None:
                continue
            answer.setdefault("name", call.name)
            if call.answer:
                if not call.answer.done():
                    call.answer.set_result(answer)
                continue
            scheduling = answer.get("scheduling", "WHEN_IDLE") if self.model.scheduling else "WHEN_IDLE"
            if scheduling == "INTERRUPT":
                await self._interrupt(forced=True)
            if scheduling != "SILENT":
                self._begin(commands.saying(voice.chimes(commands.result_text([answer]))))

    async def on_context_update(self, content: dict[str, Any]) -> None:
        """Whether Google lets a token's lock bind this is not known; here it does only when told so."""
        binds = self.scenarios.peek("context-update-locked") is not None
        changes = {"systemInstruction": content.get("systemInstruction")}
        changes["tools"] = content["tools"].get("tools", []) if "tools" in content else None
        for field, value in changes.items():
            locked = self._token and locks(self._token.setup, self._token.mask, field)
            if value is not None and not (binds and locked):
                self.setup[field] = value
        self.record.effective_setup = self.setup


_HANDLERS: dict[str, Any] = {
    "realtimeInput": Connection.on_realtime,
    "clientContent": Connection.on_content,
    "toolResponse": Connection.on_tool_response,
    "contextUpdate": Connection.on_context_update,
}
