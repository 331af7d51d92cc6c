"""The server: one port and one event loop in its own thread, used as a context manager.

It listens on loopback only, because it accepts every key and records what it hears. `callers` keeps foreign
pages out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from types import TracebackType

from aiohttp import web

from broker.standin import callers, model_list
from broker.standin.certificate import make_certificate
from broker.standin.clock import Clock
from broker.standin.close_reasons import CLOSES
from broker.standin.control import Control, Handle, Routes
from broker.standin.live import live
from broker.standin.mint import mint
from broker.standin.records import epoch_ms
from broker.standin.state import State

NOT_IMITATED = """\
This is a stand-in for Google's Live API, for development and tests. It does not imitate:
  - a model: it understands no speech and no text. It repeats what you say, and hums what you type;
  - recognition: transcripts say how long you spoke, not what you said;
  - voices, languages, safety filters, search grounding, proactive audio, affective dialog;
  - Google's quotas, prices, latency, and the exact point where speech starts and ends;
  - the 15-minute end of a session without compression, and compression itself;
  - behaviour of Google that no one has reported: those texts and rules are guesses.
Type /help in the conversation for a list of commands."""

VERSIONS = "(v1alpha|v1beta|v1)"
AUTH_TOKENS = re.compile(rf"/+{VERSIONS}/auth_tokens(/[^/]+)?")
MODELS = re.compile(rf"/+{VERSIONS}/models(?:/([^/]+))?")
CONTROL = "/_standin/"
START_SECONDS = 15


class StandIn:
    """`with StandIn() as standin: standin.url`. `time_scale` makes its clock run faster than real time."""

    def __init__(
        self,
        port: int = 0,
        tls: bool = False,
        time_scale: float = 1.0,
        host: str = "127.0.0.1",
        api_key: str | None = None,
    ) -> None:
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the stand-in serves loopback addresses only, not {host}")
        self._host, self._port, self._tls = host, port, tls
        self._state = State(Clock(time_scale), api_key)
        self._control = Control(self._state)
        self._routes = Routes(self._control)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._fault: BaseException | None = None
        self.ca_file: Path | None = None
        self.url = ""

    def start(self) -> StandIn:
        ready = threading.Event()
        self._fault = None
        self._thread = threading.Thread(target=self._main, args=(ready,), name="stand-in", daemon=True)
        self._thread.start()
        if not ready.wait(START_SECONDS):
            raise TimeoutError("the stand-in did not start")
        if self._fault:
            self._thread.join()
            raise self._fault
        return self

    def stop(self) -> None:
        if self._thread and self._loop and self._stop and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._thread = None
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> StandIn:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def control(self) -> Handle:
        if self._loop is None:
            raise RuntimeError("the stand-in is not started")
        return Handle(self._control, self._loop)

    def _main(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as fault:  # noqa: BLE001  (handed to the thread that called start)
            self._fault = fault
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        app.on_response_prepare.append(self._date)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            async with self._listening(runner) as port:
                host = f"[{self._host}]" if ":" in self._host else self._host
                self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
                ready.set()
                await self._stop.wait()
                for connection in list(self._state.open.values()):
                    connection.end(CLOSES["going-down"])
        finally:
            await runner.cleanup()
            await _turns()

    @asynccontextmanager
    async def _listening(self, runner: web.AppRunner) -> AsyncIterator[int]:
        """Yields the port. Ends in two steps: asyncio leaves a socket open that it accepted just before."""
        assert runner.server
        loop = asyncio.get_running_loop()
        server = await loop.create_server(runner.server, self._host, self._port, ssl=self._ssl())
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for socket in server.sockets:
                loop.remove_reader(socket.fileno())
            await _turns()
            server.close()

    def _ssl(self) -> ssl.SSLContext | None:
        if not self._tls:
            return None
        self._folder = tempfile.TemporaryDirectory(prefix="standin-")
        self.ca_file, key_file = make_certificate(Path(self._folder.name))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.ca_file, key_file)
        return context

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        if skew := self._state.scenarios.peek("clock-skew"):
            response.headers["Date"] = formatdate(time.time() + float(skew["seconds"]), usegmt=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        controls = path.startswith(CONTROL) and path != CONTROL + "redirected"
        if reason := callers.refusal(request, controls=controls):
            return web.json_response({"error": reason}, status=403)
        if path.lstrip("/").startswith("ws/"):
            return await live(request, self._state)
        if controls:
            return await self._routes.serve(request, path.removeprefix(CONTROL))
        if (match := AUTH_TOKENS.fullmatch(path)) and request.method == "POST" and not match[2]:
            return await mint(request, self._state, match[1])
        self._state.records.note_other({"ms": epoch_ms(), "method": request.method, "path": path})
        if (match := MODELS.fullmatch(path)) and request.method == "GET":
            return model_list.answer(request, self._state, match[1], match[2])
        return web.Response(status=404)  # an empty body, as Google gives for listing or reading tokens


async def _turns() -> None:
    """Lets the event loop make and close connections, for which it takes up to three turns."""
    for _ in range(3):
        await asyncio.sleep(0)
