"""Records what the installed google-genai sends for each call to a server on loopback.

`python -m tests.contract.python_sdk_recorder` writes the results to tests/wire/. `test_python_sdk_wire.py`
compares them with the stored samples.
"""

from __future__ import annotations

import asyncio
import json
import platform
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from google import genai
from google.genai import types

from broker.standin.certificate import make_certificate
from tests.contract.python_sdk_calls import FRAMES, MINTS, MODEL, RICH, Call

WIRE = Path(__file__).parents[1] / "wire"
SUFFIX = ".python-sdk.json"

# Headers of the HTTP and WebSocket libraries; the SDK itself sets the others.
OF_THE_LIBRARIES = frozenset(
    {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "upgrade",
        "sec-websocket-key",
        "sec-websocket-version",
    }
)


class Recorder:
    """A Live API that answers every call and keeps the last request and all frames of the last socket."""

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}
        self.frames: list[Any] = []
        self.opcode = ""
        self.closed = asyncio.Event()

    async def mint(self, request: web.Request) -> web.Response:
        text = await request.text()
        self._keep(request, "POST")
        self.request["body"] = json.loads(text) if text else None
        return web.json_response({"name": "auth_tokens/TKN123"})

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        self._keep(request, "GET (WebSocket upgrade)")
        self.frames.clear()
        self.closed.clear()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            self.frames.append(json.loads(message.data))
            if len(self.frames) == 1:
                self.opcode = "text" if message.type is WSMsgType.TEXT else "binary"
                await socket.send_bytes(b'{"setupComplete":{}}')
        self.closed.set()
        return socket

    def _keep(self, request: web.Request, method: str) -> None:
        exact = f"gl-python/{platform.python_version()}"
        headers = {
            name.lower(): value.replace(exact, "gl-python/VERSION")
            for name, value in request.headers.items()
            if name.lower() not in OF_THE_LIBRARIES
        }
        self.request = {"method": method, "path": request.path_qs, "headers": headers}

    def connection(self) -> dict[str, Any]:
        return {**self.request, "subprotocol": None, "first_frame_opcode": self.opcode}


@asynccontextmanager
async def _serving(recorder: Recorder, folder: Path) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    certificate, key = make_certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    app = web.Application()
    app.router.add_post("/{version}/auth_tokens", recorder.mint)
    app.router.add_get("/ws/{method}", recorder.socket)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield (
            f"https://127.0.0.1:{runner.addresses[0][1]}",
            ssl.create_default_context(cafile=str(certificate)),
        )
    finally:
        await runner.cleanup()


class Sdk:
    """The SDK's clients, pointed at the recorder."""

    def __init__(self, recorder: Recorder, url: str, tls: ssl.SSLContext) -> None:
        self._recorder = recorder
        self._url = url
        self._tls = tls

    def _client(self, version: str | None, key: str = "FAKE_KEY") -> genai.Client:
        options = types.HttpOptions(
            base_url=self._url,
            api_version=version,
            client_args={"verify": self._tls, "trust_env": False},
            async_client_args={"ssl": self._tls},
        )
        return genai.Client(vertexai=False, api_key=key, http_options=options)

    def mint(self, version: str | None, config: types.CreateAuthTokenConfig | None) -> dict[str, Any]:
        with self._client(version) as client:
            client.auth_tokens.create(config=config)
        return self._recorder.request

    async def frames(
        self,
        config: types.LiveConnectConfig,
        call: Call | None = None,
        *,
        version: str | None = "v1alpha",
        key: str = "FAKE_KEY",
    ) -> list[Any]:
        """The setup and what `call` sends after it."""
        client = self._client(version, key)
        async with client.aio.live.connect(model=MODEL, config=config) as session:
            if call is not None:
                await call(session)
        await asyncio.wait_for(self._recorder.closed.wait(), 10)
        return list(self._recorder.frames)


async def _record(folder: Path) -> dict[str, Any]:
    recorder, samples = Recorder(), dict[str, Any]()
    async with _serving(recorder, folder) as (url, tls):
        sdk = Sdk(recorder, url, tls)
        for name, (version, config) in MINTS.items():
            samples[f"{name}.request"] = await asyncio.to_thread(sdk.mint, version, config)
        bare = types.LiveConnectConfig()
        samples["setup-minimal"] = (await sdk.frames(bare, version=None))[0]
        samples["connect-api-key"] = recorder.connection()
        await sdk.frames(bare, key="auth_tokens/TKN123")
        samples["connect-token"] = recorder.connection()
        samples["setup-rich"] = (await sdk.frames(types.LiveConnectConfig(**RICH)))[0]
        for name, call in FRAMES.items():
            samples[name] = (await sdk.frames(bare, call))[1]
    return samples


def record() -> dict[str, Any]:
    """Sample name, without the suffix -> its content."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_record(Path(folder)))


if __name__ == "__main__":
    for sample, content in record().items():
        (WIRE / f"{sample}{SUFFIX}").write_text(json.dumps(content, indent=1) + "\n")
