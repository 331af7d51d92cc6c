"""Opening a socket: addresses, credentials, the setup, and the close handshake.

Checks the three ways to send a credential in Google's order, up to setupComplete. It refuses as Google does:
the upgrade succeeds, then the socket closes with a code and a text.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from aiohttp import web

from broker.standin import commands, models, voice
from broker.standin.close_reasons import CLOSES, Close, Ending, Refused, error_body
from broker.standin.connection import Connection
from broker.standin.conversations import Conversation
from broker.standin.frames import Frames
from broker.standin.locking import effective_setup
from broker.standin.records import epoch_ms
from broker.standin.state import State
from broker.standin.tokens import Token, fingerprint

ADDRESS = re.compile(
    r"/+ws/google\.ai\.generativelanguage\.(v1alpha|v1beta|v1)\.GenerativeService\."
    r"(BidiGenerateContent|BidiGenerateContentConstrained)"
)
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
CLOSE_SECONDS = 1.0
BEAT_SECONDS = 0.03  # between the upgrade and a refusal
SHOWN_HEADERS = ("User-Agent", "Origin", "X-Goog-Api-Client")


class Gone(Exception):  # noqa: N818  (an outcome)
    """The client left before the session was open."""


async def live(request: web.Request, state: State) -> web.StreamResponse:
    address = ADDRESS.fullmatch(request.path)
    constrained = bool(address) and address is not None and address[2] == "BidiGenerateContentConstrained"
    if address is None or (constrained and address[1] == "v1" and state.scenarios.peek("v1-tokens") is None):
        return web.Response(status=404)
    if trouble := state.scenarios.use("handshake-status"):
        return web.json_response(error_body(int(trouble["status"])), status=int(trouble["status"]))
    if trouble := state.scenarios.use("handshake-hang"):
        await asyncio.sleep(float(trouble["seconds"]))
    ws = web.WebSocketResponse(timeout=CLOSE_SECONDS, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
    if not ws.can_prepare(request).ok:
        return web.Response(status=404)
    await ws.prepare(request)
    door = Door(request, state, ws, address[1], constrained)
    ending: Ending
    try:
        ending = await door.talk()
    except Refused as refused:
        await state.clock.sleep(BEAT_SECONDS)
        ending = refused.close
    except Gone:
        ending = "gone"
    await _finish(request, ws, door, ending)
    return ws


async def _finish(request: web.Request, ws: web.WebSocketResponse, door: Door, ending: Ending) -> None:
    if ending == "drop":
        closed: dict[str, Any] = {"by": "server", "code": 1006, "reason": ""}
        if request.transport:
            request.transport.abort()
    elif ending == "gone":
        closed = door.frames.record.closed or {"by": "client", "code": 1006, "reason": ""}
        await ws.close()
    else:
        assert isinstance(ending, Close)
        closed = {"by": "server", "code": ending.code, "reason": ending.payload().decode()}
        await ws.close(code=ending.code, message=ending.payload())
    door.frames.record.closed = {**closed, "ms": epoch_ms()}


class Door:
    """One socket, from its upgrade to its end."""

    def __init__(
        self, request: web.Request, state: State, ws: web.WebSocketResponse, version: str, constrained: bool
    ) -> None:
        self._state, self._version, self._constrained = state, version, constrained
        self._token_name, self._key, shown = _credentials(request)
        record = state.records.open(
            path=request.path,
            method="BidiGenerateContentConstrained" if constrained else "BidiGenerateContent",
            version=version,
            auth=shown,
            token_sha256=fingerprint(self._token_name) if self._token_name else None,
            headers={name: request.headers[name] for name in SHOWN_HEADERS if name in request.headers},
        )
        self.frames = Frames(ws, record, state.scenarios)
        self._greeting = ""

    async def talk(self) -> Ending:
        state, record = self._state, self.frames.record
        self._refusal("connect")
        token = self._authenticate()
        frame = await self._setup_frame(token)
        self._refusal("setup")
        hole = state.scenarios.peek("lock-ignored") or {"fields": []}
        setup = effective_setup(token.setup, token.mask, frame, hole["fields"]) if token else frame
        record.setup, record.effective_setup = frame, setup
        removed = state.scenarios.peek("models-without")
        free = state.scenarios.peek("refused-setup-free") is not None
        if not free:
            self._spend(setup, token)
        model = models.find(setup.get("model", ""), self._version, removed["models"] if removed else [])
        models.check(model, setup)
        if free:
            self._spend(setup, token)
        conversation = self._conversation(setup)
        conversation.held = True
        try:
            connection = Connection(state, self.frames, self._version, model, setup, conversation, token)
            await self._ready()
            state.open[record.number] = connection
            if self._greeting:
                connection.turns.begin(commands.saying(voice.chimes(self._greeting)))
            return await connection.run()
        finally:
            conversation.held = False
            conversation.released_at = state.clock.now()
            state.open.pop(record.number, None)

    def _refusal(self, at: str) -> None:
        wanted = self._state.scenarios.peek("refuse")
        if wanted and wanted["at"] == at:
            self._state.scenarios.use("refuse")
            if wanted["code"]:
                raise Refused(Close(int(wanted["code"]), str(wanted["reason"])))
            raise Refused(CLOSES[str(wanted["close"])])

    def _authenticate(self) -> Token | None:
        """Returns the token, or None for an API key on the plain method."""
        if self._constrained:
            if not self._token_name:
                raise Refused(CLOSES["unregistered"])
            gated = self._state.scenarios.peek("resume-ungated") is None
            unknown = self._state.scenarios.text("unknown-name", "token")
            return self._state.tokens.check_at_connect(self._token_name, gated, unknown, self._ignored_terms)
        if not self._key:
            raise Refused(CLOSES["unregistered"])
        if not self._state.key_accepted(self._key):
            raise Refused(CLOSES["key-invalid"])
        return None

    async def _setup_frame(self, token: Token | None) -> dict[str, Any]:
        # A spent token can still resume, and only the setup frame says so. Refuse at once where it cannot.
        spent = token and token.spent and "spent" not in self._ignored_terms
        patience = 1.0 if spent else self._state.scenarios.number("idle", "seconds")
        try:
            async with asyncio.timeout(patience / self._state.clock.scale):
                message = await self.frames.receive(self._version)
        except TimeoutError:
            raise Refused(CLOSES["token-used" if spent else "aborted"]) from None
        if message is None:
            raise Gone
        if list(message) != ["setup"]:
            raise Refused(CLOSES["invalid-argument" if "setup" in message else "setup-first"])
        setup: dict[str, Any] = message["setup"]
        return setup

    @property
    def _ignored_terms(self) -> Collection[str]:
        terms: list[str] = (self._state.scenarios.peek("terms-ignored") or {"terms": []})["terms"]
        return terms

    def _spend(self, setup: dict[str, Any], token: Token | None) -> None:
        if token and (not _handle(setup) or self._state.scenarios.peek("resume-counted") is not None):
            self._state.tokens.spend(token, self._ignored_terms)

    def _conversation(self, setup: dict[str, Any]) -> Conversation:
        state, handle = self._state, _handle(setup)
        if not handle:
            return Conversation(setup["model"])
        if refused := state.scenarios.use("resume-refused"):
            raise Refused(CLOSES[str(refused["close"])])
        self.frames.record.resumed = True
        unknown = state.scenarios.text("unknown-name", "handle")
        conversation = state.conversations.resume(handle, setup["model"], unknown)
        if forgets := state.scenarios.use("forgets"):
            conversation.forget()
            self._greeting = str(forgets["greeting"])
        return conversation

    async def _ready(self) -> None:
        if slow := self._state.scenarios.use("setup-slow"):
            await self._state.clock.sleep(float(slow["seconds"]))
        if self._state.scenarios.use("setup-hang") is not None:
            while await self.frames.receive(self._version) is not None:
                pass
            raise Gone
        if early := self._state.scenarios.use("early-refused"):
            with suppress(TimeoutError):
                async with asyncio.timeout(float(early["seconds"])):
                    if await self.frames.receive(self._version) is None:
                        raise Gone
                    raise Refused(CLOSES["setup-first"])
        await self.frames.send({"setupComplete": {}})
        self.frames.record.ready_ms = epoch_ms()


def _handle(setup: dict[str, Any]) -> str:
    handle: str = setup.get("sessionResumption", {}).get("handle", "")
    return handle


def _credentials(request: web.Request) -> tuple[str, str, str]:
    """Returns (token, key, where it was found). The Python SDK sends its token as a key too, hence the
    order."""
    if token := request.query.get("access_token"):
        return token, "", "query"
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    key = request.query.get("key", "") or request.headers.get("X-Goog-Api-Key", "")
    if scheme.lower() == "token" and value:
        return value.strip(), key, "header"
    return "", key, "key" if key else "none"
