"""The gunicorn worker: an event loop that speaks HTTP, Flask behind it in threads, and a clean end.

At SIGTERM, gunicorn's own worker resets the connections that wait in the listener's queue. This worker
accepts them first. It then closes the listener, so that later clients are refused at once, finishes every
request that it has accepted, and answers late requests on kept connections with 503 `draining`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import structlog
from gunicorn.workers import base
from gunicorn.workers.gasgi import ASGIWorker
from gunicorn.workers.workertmp import WorkerTmp

from broker.http.connection import Connection
from broker.http.draining import DRAIN
from broker.http.wsgi import FlaskRunner
from broker.parts import parts_of

_log = structlog.get_logger("broker.http")
_HEARTBEAT_SECONDS = 1.0
_LOOK_SECONDS = 0.05


class Heartbeat(WorkerTmp):  # type: ignore[misc]  # gunicorn has no types
    """The file by which the master sees that a worker is alive. It exists only in memory.

    gunicorn's own file needs a writable folder, which may not exist, and a slow disk would stall the worker.
    """

    def __init__(self, cfg: Any) -> None:
        if not hasattr(os, "memfd_create"):  # not Linux
            super().__init__(cfg)
            return
        file = os.memfd_create("heartbeat")
        os.fchown(file, cfg.uid, cfg.gid)
        self._tmp = os.fdopen(file, "w+b", 0)


# The constructor of gunicorn's base class creates it and accepts no other class.
base.WorkerTmp = Heartbeat


class EventLoopWorker(ASGIWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: dict[Connection, None] = {}
        self._woken = asyncio.Event()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """gunicorn's own worker warns that it uses no threads. This one does."""

    def load_wsgi(self) -> None:
        self.wsgi = self.app.wsgi()
        self.asgi = FlaskRunner(self.wsgi, self.cfg.threads, parts_of(self.wsgi).minter.check_upstream)

    def add(self, connection: Connection) -> None:
        """Beyond the limit, the client that has been silent for longest makes room."""
        self.connections[connection] = None
        if len(self.connections) > self.worker_connections:
            idle = next((one for one in self.connections if one.is_idle), connection)
            idle.transport.abort()

    def handle_exit_signal(self) -> None:
        """SIGTERM: not ready from now on; BROKER_DRAIN_SECONDS later the listener closes."""
        if DRAIN.has_begun:
            return
        DRAIN.begin()
        seconds = parts_of(self.wsgi).settings.drain_seconds
        _log.info("draining", listener_closes_in_seconds=seconds)
        self.loop.call_later(seconds, self._woken.set)

    def handle_quit_signal(self) -> None:
        super().handle_quit_signal()
        self._woken.set()

    async def _serve(self) -> None:
        tls = self._get_ssl_context()
        for listener in self.sockets:
            # With a small backlog, asyncio accepts one connection at a time and leaves the others to other
            # workers. The kernel's queue is then set to its length again.
            server = await self.loop.create_server(
                lambda: Connection(self), sock=listener.sock, ssl=tls, backlog=1
            )
            listener.sock.listen(self.cfg.backlog)
            self.servers.append(server)
        while self.alive and not self._woken.is_set() and self.ppid == os.getppid():
            self.notify()
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    await self._woken.wait()
        await self._finish(tls)

    async def _finish(self, tls: Any) -> None:
        """Leaves `alive` set: gunicorn would close connections that were just told that they are kept."""
        waiting = [client for listener in self.sockets for client in _accept_all(listener.sock)]
        for server in self.servers:
            server.close()
        DRAIN.refuse_from_now_on()
        for client in waiting:
            await self.loop.connect_accepted_socket(lambda: Connection(self), client, ssl=tls)
        await asyncio.sleep(0)
        for connection in list(self.connections):
            connection.end_soon()
        until = self.loop.time() + self.cfg.graceful_timeout
        while self.connections and self.loop.time() < until and not self._quick_shutdown:
            self.notify()
            await asyncio.sleep(_LOOK_SECONDS)


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    with suppress(BlockingIOError):
        while True:
            client, _ = listener.accept()
            client.setblocking(False)
            yield client
