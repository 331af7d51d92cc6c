"""Crowd: callers on kept connections who ask for tokens in one moment, as cheaply as one process can."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import aiohttp


@dataclass(frozen=True)
class Told:
    """What one caller of POST /token was told; `code` is "ok" for a token, "gone" where nobody answered."""

    who: int
    code: str
    session: str = ""
    minutes_used: int = 0


class Crowd:
    """Use as an async context manager, within one event loop."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._client: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(60)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, bearers: Sequence[str]) -> list[Told]:
        """One request for each bearer, all at once; the brokers take turns."""
        return await asyncio.gather(*(self._ask(who, bearer) for who, bearer in enumerate(bearers)))

    async def beat(self, session: str, bearer: str) -> None:
        """A heartbeat that arrives, also where workers come and go."""
        for _ in range(5):
            with suppress(aiohttp.ClientError):
                async with self._post(f"/sessions/{session}/heartbeat", 0, bearer) as answer:
                    assert answer.status == 200, await answer.text()
                    return
        raise AssertionError("no worker took the heartbeat")

    async def _ask(self, who: int, bearer: str) -> Told:
        try:
            async with self._post("/token", who, bearer) as answer:
                said: dict[str, Any] = await answer.json(content_type=None)
        except aiohttp.ClientError:
            return Told(who, "gone")
        if answer.status != 200:
            return Told(who, str(said["code"]))
        used = said["limits"]["minutes_per_day"]["used"]
        return Told(who, "ok", str(said["session"]["id"]), int(used))

    def _post(self, path: str, who: int, bearer: str) -> Any:
        url = self._urls[who % len(self._urls)] + path
        return self._client.post(url, json={}, headers={"Authorization": f"Bearer {bearer}"})
