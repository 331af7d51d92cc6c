"""The controls for tests: reset, scenarios, records of what was received and sent, and pushes.

Each control is defined once. `Routes` serves them under /_standin/, and `Handle` calls them from other
threads. They need no credential: the stand-in listens on loopback only, and `callers` refuses all pages.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from broker.standin import commands
from broker.standin.close_reasons import CLOSES, Close
from broker.standin.messages import MessageConnection
from broker.standin.state import State

T = TypeVar("T")


class Control:
    """The controls. Call them on the event loop only."""

    def __init__(self, state: State) -> None:
        self._state = state

    def health(self) -> dict[str, Any]:
        return {"ok": True, "open_connections": len(self._state.open), "time_scale": self._state.clock.scale}

    def reset(self) -> dict[str, Any]:
        """Returns to the state of a fresh start: closes all connections and forgets everything."""
        for connection in list(self._state.open.values()):
            connection.end(CLOSES["going-down"])
        self._state.scenarios.clear()
        self._state.draws.clear()
        self._state.records.clear()
        self._state.tokens.clear()
        self._state.conversations.clear()
        return {"ok": True}

    def scenario(self, name: str, off: bool = False, **params: Any) -> dict[str, Any]:
        if off:
            self._state.scenarios.switch_off(name)
        else:
            self._state.scenarios.switch_on(name, params)
        return {"on": self._state.scenarios.listing()}

    def reset_scenarios(self) -> dict[str, Any]:
        """Switches all scenarios off. Connections and records stay."""
        self._state.scenarios.clear()
        return {"on": {}}

    def received(self) -> dict[str, Any]:
        records = self._state.records
        return {
            "mints": [dict(entry) for entry in records.mints],
            "other": [dict(entry) for entry in records.other],
            "connections": [record.overview() for record in records.connections.values()],
        }

    def sent(self, connection: int | None = None) -> dict[str, Any]:
        record = self._state.records.connection(connection)
        turns = [dataclasses.asdict(turn) for turn in record.turns]
        return {"connection": record.number, "frames": list(record.sent), "turns": turns}

    def received_audio(self, connection: int | None = None) -> bytes:
        """The received audio: 16 kHz, s16le."""
        return bytes(self._state.records.connection(connection).audio_in)

    def sent_audio(self, connection: int | None = None, turn: int | None = None) -> bytes:
        """The sent audio: 24 kHz, s16le. Of one turn, counted from 1, or of all."""
        record = self._state.records.connection(connection)
        if turn is None:
            return bytes(record.audio_out)
        if not 1 <= turn <= len(record.turns):
            raise ValueError(f"no turn {turn}")
        part = record.turns[turn - 1]
        return bytes(record.audio_out[part.start : part.end])

    async def push(
        self,
        connection: int | None = None,
        frame: dict[str, Any] | None = None,
        raw: str | None = None,
        command: str | None = None,
        interrupt: bool = False,
        go_away: float | None = None,
        close: Any = None,
        drop: bool = False,
    ) -> dict[str, Any]:
        """Makes an open connection act now. Without a number it is the last one.

        It can send a frame or raw text, act on a typed line, interrupt its answer, send goAway, close (with
        {"code", "reason"} or a name of close_reasons.CLOSES), or drop the socket.
        """
        target = self._connection(connection)
        if frame is not None:
            await target.send(frame)
        if raw is not None:
            await target.frames.send_raw(raw)
        if interrupt:
            await target.turns.interrupt()
        if command is not None and (script := commands.answer(target, command)):
            target.turns.begin(script)
        if go_away is not None:
            target.spawn(target.go_away(float(go_away), CLOSES["stayed-past-go-away"]))
        if close is not None:
            named = CLOSES[close] if isinstance(close, str) else Close(close["code"], close.get("reason", ""))
            target.end(named)
        if drop:
            target.end("drop")
        return {"connection": target.record.number}

    def _connection(self, number: int | None) -> MessageConnection:
        if not self._state.open:
            raise ValueError("no connection is open")
        wanted = max(self._state.open) if number is None else number
        if wanted not in self._state.open:
            raise ValueError(f"connection {wanted} is not open")
        return self._state.open[wanted]


class Handle:
    """The same controls for a caller in another thread."""

    def __init__(self, control: Control, loop: asyncio.AbstractEventLoop) -> None:
        self._control = control
        self._loop = loop

    def _call(self, verb: Callable[[], T]) -> T:
        async def work() -> T:
            return verb()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=10)

    def health(self) -> dict[str, Any]:
        return self._call(self._control.health)

    def reset(self) -> None:
        self._call(self._control.reset)

    def scenario(self, name: str, off: bool = False, **params: Any) -> None:
        self._call(lambda: self._control.scenario(name, off, **params))

    def reset_scenarios(self) -> None:
        self._call(self._control.reset_scenarios)

    def received(self) -> dict[str, Any]:
        return self._call(self._control.received)

    def sent(self, connection: int | None = None) -> dict[str, Any]:
        return self._call(lambda: self._control.sent(connection))

    def received_audio(self, connection: int | None = None) -> bytes:
        return self._call(lambda: self._control.received_audio(connection))

    def sent_audio(self, connection: int | None = None, turn: int | None = None) -> bytes:
        return self._call(lambda: self._control.sent_audio(connection, turn))

    def push(self, **what: Any) -> None:
        asyncio.run_coroutine_threadsafe(self._control.push(**what), self._loop).result(timeout=10)


class Routes:
    """The controls over HTTP. The path after /_standin/ names one."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def serve(self, request: web.Request, verb: str) -> web.Response:
        try:
            return await self._answer(request, verb)
        except (ValueError, TypeError, KeyError) as fault:
            return web.json_response({"error": str(fault)}, status=400)

    async def _answer(self, request: web.Request, verb: str) -> web.Response:
        control = self._control
        query = {name: int(value) for name, value in request.query.items() if name in ("connection", "turn")}
        if request.method == "GET":
            if verb in ("received/audio", "sent/audio"):
                pick = control.received_audio if verb == "received/audio" else control.sent_audio
                return web.Response(body=pick(**query), content_type="application/octet-stream")
            reads: dict[str, Callable[[], dict[str, Any]]] = {
                "health": control.health,
                "received": control.received,
                "sent": lambda: control.sent(**query),
            }
            if verb in reads:
                return web.json_response(reads[verb]())
        if request.method == "POST":
            body = await request.json() if request.can_read_body else {}
            if verb == "reset":
                return web.json_response(control.reset())
            if verb == "reset-scenarios":
                return web.json_response(control.reset_scenarios())
            if verb == "scenario":
                return web.json_response(control.scenario(**body))
            if verb == "push":
                return web.json_response(await control.push(**body))
        return web.json_response({"error": "no such control route"}, status=404)
