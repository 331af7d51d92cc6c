"""Crowd: callers on kept connections who ask for tokens in one moment, at little cost for this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import aiohttp


@dataclass(frozen=True)
class Outcome:
    """How one POST /token ended. `code` is "ok" for a token, "gone" if the connection broke."""

    caller: int
    code: str
    session: str = ""
    token: str = ""
    minutes_used: int = 0


class Crowd:
    """Use as an async context manager, within one event loop. All requests carry `headers`.

    With a service key, the callers are its users, and their names stand for bearer tokens.
    """

    def __init__(
        self, urls: Sequence[str], headers: Mapping[str, str] | None = None, key: str | None = None
    ) -> None:
        self._urls = urls
        self._headers = {**(headers or {}), **({"X-API-Key": key} if key else {})}
        self._key = key
        self._client: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(60), headers=self._headers
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, bearers: Sequence[str]) -> list[Outcome]:
        """Sends one request for each bearer token, all in one moment. The brokers take turns."""
        return await asyncio.gather(*(self._ask(caller, bearer) for caller, bearer in enumerate(bearers)))

    async def beat(self, session: str, bearer: str) -> None:
        """Sends a heartbeat, again if a worker ends before it answers."""
        for _ in range(5):
            with suppress(aiohttp.ClientError):
                async with self._post(f"/sessions/{session}/heartbeat", 0, bearer) as answer:
                    assert answer.status == 200, await answer.text()
                    return
        raise AssertionError("no worker answered the heartbeat")

    async def _ask(self, caller: int, bearer: str) -> Outcome:
        try:
            async with self._post("/token", caller, bearer) as answer:
                body: dict[str, Any] = await answer.json(content_type=None)
        except aiohttp.ClientError:
            return Outcome(caller, "gone")
        if answer.status != 200:
            return Outcome(caller, str(body["code"]))
        used = body["limits"]["minutes_per_day"]["used"]
        return Outcome(caller, "ok", str(body["session"]["id"]), str(body["token"]), int(used))

    def _post(self, path: str, caller: int, bearer: str) -> Any:
        url = self._urls[caller % len(self._urls)] + path
        if self._key:
            return self._client.post(url, json={"on_behalf_of": bearer})
        return self._client.post(url, json={}, headers={"Authorization": f"Bearer {bearer}"})
