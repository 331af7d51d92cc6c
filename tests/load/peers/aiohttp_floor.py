"""aiohttp that writes the request to the Live API by hand: about the least that such an endpoint can cost."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from aiohttp import ClientSession, TCPConnector, web

CALL = os.environ["UPSTREAM"] + "/v1alpha/auth_tokens"
CLIENT = web.AppKey("CLIENT", ClientSession)


async def token(request: web.Request) -> web.Response:
    now = datetime.now(UTC)
    setup = {
        "model": "models/gemini-3.8-live",
        "generationConfig": {"responseModalities": ["AUDIO"]},
        "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]},
    }
    body = {
        "uses": 1,
        "expireTime": (now + timedelta(minutes=15)).isoformat(),
        "newSessionExpireTime": (now + timedelta(minutes=2)).isoformat(),
        "bidiGenerateContentSetup": setup,
    }
    async with request.app[CLIENT].post(CALL, json=body, headers={"x-goog-api-key": "key"}) as answer:
        answer.raise_for_status()
        return web.json_response({"token": (await answer.json())["name"]})


async def with_client() -> web.Application:
    app = web.Application()
    app[CLIENT] = ClientSession(connector=TCPConnector(limit=0))
    app.router.add_post("/token", token)
    return app


if __name__ == "__main__":
    web.run_app(with_client(), host="127.0.0.1", port=int(os.environ["PORT"]), print=None, access_log=None)
