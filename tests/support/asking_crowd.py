"""AskingCrowd: clients that retry POST /token after Retry-After, and a client that uses all other routes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.servers import PASSWORD, BrokerServer

SIGN_IN = "sign-in"


@dataclass(frozen=True)
class Seen:
    """How one POST /token ended. `code` is `ok` for a token."""

    code: str
    retry_after: int | None
    began_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        return self.ended_at - self.began_at


@dataclass
class AskingCrowd:
    """Callers who ask again and again, as `Retry-After` says, and someone who uses every other route."""

    broker: BrokerServer
    sessions: list[str]
    """Open sessions of alice. The first one lives, and the others are ended one by one."""
    bearers: dict[str, str]
    seen: list[Seen] = field(default_factory=list)
    others: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Route -> how many milliseconds each of its answers took."""
    _over: bool = False

    async def ask_once(self, client: aiohttp.ClientSession) -> int:
        """Returns after how many seconds to ask again."""
        began_at = time.monotonic()
        async with client.post("/token", headers=self._as("alice")) as answer:
            code = str((await answer.json(content_type=None)).get("code", "ok"))
            after = answer.headers.get("Retry-After")
        self.seen.append(Seen(code, None if after is None else int(after), began_at, time.monotonic()))
        return int(after or 1)

    async def ask(self, client: aiohttp.ClientSession) -> None:
        while not self._over:
            seconds = await self.ask_once(client)
            until = time.monotonic() + seconds
            while not self._over and time.monotonic() < until:
                await asyncio.sleep(0.05)

    async def use_the_rest(self, client: aiohttp.ClientSession) -> None:
        """One round: each route once, and one sign-in."""
        alive = self.sessions[0]
        await self._call(client, "health", "GET", "/healthz")
        await self._call(client, "me", "GET", "/me", headers=self._as("alice"))
        await self._call(
            client, "heartbeat", "POST", f"/sessions/{alive}/heartbeat", headers=self._as("alice")
        )
        if len(self.sessions) > 1:
            over = self.sessions.pop()
            await self._call(client, "end", "POST", f"/sessions/{over}/end", headers=self._as("alice"))
        for page in ("overview", "sessions", "usage?range=hour"):
            await self._call(client, page, "GET", f"/admin/{page}", headers=self._as("olga"))
        who = {"username": "alice", "password": PASSWORD}
        await self._call(client, SIGN_IN, "POST", "/auth/login", json=who)

    async def _call(
        self, client: aiohttp.ClientSession, name: str, method: str, path: str, **request: Any
    ) -> None:
        began_at = time.monotonic()
        async with client.request(method, path, **request) as answer:
            if answer.status not in (200, 204):
                errors = [line for line in self.broker.log.splitlines() if '"level": "error"' in line]
                raise AssertionError((path, await answer.text(), errors[-3:]))
            await answer.read()
        self.others[name].append((time.monotonic() - began_at) * 1000)

    def _as(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.bearers[name]}"}

    def client(self) -> aiohttp.ClientSession:
        """Use as an async context manager, and give it to the other methods."""
        return aiohttp.ClientSession(
            self.broker.url,
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(60),
        )

    def end(self) -> None:
        self._over = True

    def tokens_since(self, moment: float) -> list[Seen]:
        return [one for one in self.seen if one.code == "ok" and one.began_at >= moment]

    def refused_at_once(self) -> list[Seen]:
        """The refusals without a call to Google. Only these have a Retry-After."""
        return [one for one in self.seen if one.code == "upstream-timeout" and one.retry_after is not None]
