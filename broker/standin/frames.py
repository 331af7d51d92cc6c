"""JSON frames over one socket. Sends binary frames, as Google does, reads strictly, and records both
directions.

`messages.py` handles the meaning of a message.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from aiohttp import WSMsgType, web

from broker.standin import protojson
from broker.standin.close_reasons import Close, Refused
from broker.standin.records import ConnectionRecord
from broker.standin.scenarios import Scenarios

log = logging.getLogger("broker.standin")


class Frames:
    def __init__(self, ws: web.WebSocketResponse, record: ConnectionRecord, scenarios: Scenarios) -> None:
        self.ws = ws
        self.record = record
        self._scenarios = scenarios
        self.silent = False
        """Set to stop sending."""

    async def send(self, frame: dict[str, Any]) -> None:
        if self.silent:
            return
        raw = json.dumps(frame, separators=(",", ":"))
        await self.send_raw(raw)
        self.record.note_sent(frame, len(raw))

    async def send_raw(self, raw: str) -> None:
        """A socket that breaks here is left to the reader, which ends the connection."""
        try:
            if self._scenarios.peek("text-frames") is not None:
                await self.ws.send_str(raw)
            else:
                await self.ws.send_bytes(raw.encode())
        except ConnectionError:
            log.debug("the line broke while sending")

    async def receive(self, version: str) -> dict[str, Any] | None:
        """Returns the next message, validated, or None if the client has left."""
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
