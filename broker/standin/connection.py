"""One open connection, from setupComplete to its end.

Runs the tasks of a session: reading, resumption updates, and the watches that end it. They watch for the
client's silence, the token's end, the connection's length, and scenarios. `messages.py` handles the messages.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Coroutine
from typing import Any

from broker.standin.close_reasons import CLOSES, Close, Ending, Refused
from broker.standin.conversations import Conversation
from broker.standin.frames import Frames
from broker.standin.messages import Messages
from broker.standin.models import Model
from broker.standin.state import State
from broker.standin.tokens import Token
from broker.standin.tools import Tools
from broker.standin.turns import Turns

log = logging.getLogger("broker.standin")

UPDATE_SECONDS = 1.0
FIRST_UPDATE_SECONDS = 0.1


class Connection:
    def __init__(
        self,
        state: State,
        frames: Frames,
        version: str,
        model: Model,
        setup: dict[str, Any],
        conversation: Conversation,
        token: Token | None,
    ) -> None:
        self.state, self.clock, self.scenarios = state, state.clock, state.scenarios
        self.record, self.send = frames.record, frames.send
        self.frames, self.token = frames, token
        self._version = version
        self.model, self.setup, self.conversation = model, setup, conversation
        self.tools = Tools()
        self.turns = Turns(self)
        self._messages = Messages(self)
        self._heard_at = self._updated_at = self.clock.now()
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Ending:
        """Runs until something ends the connection. Returns what did."""
        for work in (self._read(), self._first_update(), self._watch_silence(), self._watch_length()):
            self.spawn(work)
        if self.token:
            self._after(self.token.expires_at - self.clock.now(), CLOSES["token-ran-out"])
        if drop := self.scenarios.use("drop"):
            self._after(float(drop["after_seconds"]), "drop")
        if close := self.scenarios.use("close"):
            named = (
                Close(int(close["code"]), str(close["reason"])) if close["code"] else CLOSES[close["close"]]
            )
            self._after(float(close["after_seconds"]), named)
        if sudden := self.scenarios.use("random-close"):
            draw = self.state.draws.setdefault("random-close", random.Random(sudden["seed"]))  # noqa: S311 # nosec B311
            seconds = draw.uniform(float(sudden["from_seconds"]), float(sudden["to_seconds"]))
            name = str(draw.choice(sudden["closes"]))
            self._after(seconds, "drop" if name == "drop" else CLOSES[name])
        if silent := self.scenarios.use("fall-silent"):
            self.spawn(self._fall_silent(float(silent["after_seconds"])))
        if away := self.scenarios.use("go-away"):
            self.spawn(self._scenario_go_away(away))
        try:
            return await self._ending
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step never starts the coroutine, so close it here.
        task.add_done_callback(lambda _: work.close())
        return task

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Refused as refused:
            self.end(refused.close)
        except Exception:  # a bug of the stand-in: log it, and close as Google does
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
        notice = min(self.scenarios.number("connection-length", "notice_seconds"), length / 2)
        await self.clock.sleep(length - notice)
        await self.go_away(notice, CLOSES["stayed-past-go-away"])

    async def _scenario_go_away(self, away: dict[str, Any]) -> None:
        await self.clock.sleep(float(away["after_seconds"]))
        await self.go_away(float(away["time_left_seconds"]), CLOSES.get(str(away["close"])))

    async def _fall_silent(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self.frames.silent = True

    async def go_away(self, seconds: float, close: Close | None) -> None:
        """Sends goAway with the time left in real seconds, because the client's clock is not scaled."""
        await self.send({"goAway": {"timeLeft": f"{seconds / self.clock.scale:g}s"}})
        await self.clock.sleep(seconds)
        if close:
            self.end(close)

    async def _first_update(self) -> None:
        await self.clock.sleep(FIRST_UPDATE_SECONDS)
        await self._update()

    async def turn_ended(self) -> None:
        if self.scenarios.peek("handle-after-turn") is not None:
            await self._update()

    async def _update(self) -> None:
        self._updated_at = self.clock.now()
        wanted = self.scenarios.peek("resumption-updates")
        mode = wanted["mode"] if wanted else ""
        if mode == "none":
            return
        busy = self.turns.generating or self.tools.waiting
        update: dict[str, Any] = {}
        if mode == "not-resumable" or (mode == "explicit" and busy):
            update = {"resumable": False}
        elif mode != "empty" and not busy:  # proto3 JSON leaves `false` out
            update = {"newHandle": self.state.conversations.handle(self.conversation), "resumable": True}
        await self.send({"sessionResumptionUpdate": update})

    async def _read(self) -> None:
        while (message := await self.frames.receive(self._version)) is not None:
            if self.frames.silent:
                continue
            self._heard_at = self.clock.now()
            await self._messages.take(message)
            if self.clock.now() - self._updated_at >= UPDATE_SECONDS:
                await self._update()
        self.end("gone")
