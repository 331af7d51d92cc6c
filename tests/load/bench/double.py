"""A fast and strict double of the Live API's two calls, in a process of its own.

    POST /v1alpha/auth_tokens    a token's name, after the delay
    GET  /v1alpha/models/{name}  a model that can talk
    POST /delay                  sets the delay: {"seconds": 0.15}

A request that Google would not accept gets 400 or 401, so a service that sends nonsense shows errors.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import Any

from aiohttp import web

_EXPECTED = {"uses", "expireTime", "newSessionExpireTime", "bidiGenerateContentSetup"}


class Double:
    def __init__(self) -> None:
        self._delay_seconds = 0.0
        self._numbers = itertools.count()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1alpha/auth_tokens", self.mint)
        app.router.add_get("/v1alpha/models/{name}", self.model)
        app.router.add_post("/delay", self.delay)
        return app

    async def mint(self, request: web.Request) -> web.Response:
        if not request.headers.get("x-goog-api-key"):
            return web.json_response({"error": {"code": 401, "status": "UNAUTHENTICATED"}}, status=401)
        body: dict[str, Any] = await request.json()
        setup = body.get("bidiGenerateContentSetup", {})
        if not body.keys() >= _EXPECTED or not str(setup.get("model", "")).startswith("models/"):
            return web.json_response({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, status=400)
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
        return web.json_response({"name": f"auth_tokens/{next(self._numbers):032x}"})

    async def model(self, request: web.Request) -> web.Response:
        name = f"models/{request.match_info['name']}"
        return web.json_response({"name": name, "supportedGenerationMethods": ["bidiGenerateContent"]})

    async def delay(self, request: web.Request) -> web.Response:
        self._delay_seconds = float((await request.json())["seconds"])
        return web.Response()


if __name__ == "__main__":
    web.run_app(Double().app(), host="127.0.0.1", port=int(os.environ["PORT"]), print=None, access_log=None)
