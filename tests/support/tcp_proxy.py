"""TcpProxy: a proxy on loopback between clients and a server, with a hook for each piece of data.

Owns its listening socket and threads. Needs the address of a server. Does not change the data.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class TcpProxy:
    """Use as a context manager. `received_at_once`: the most bytes that one piece has."""

    def __init__(self, server: tuple[str, int], *, received_at_once: int = 65536) -> None:
        self._server = server
        self._size = received_at_once
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []

    def lead_to(self, server: tuple[str, int]) -> None:
        """Connects new clients to another server. The others keep theirs."""
        self._server = server

    def cut(self) -> None:
        """Closes all connections. New ones are accepted."""
        opened, self._open = self._open, []
        _close(opened)

    def passing(self, data: bytes, *, is_answer: bool) -> None:
        """Is called before each piece is sent on. Each direction has its own thread."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _close([self._listener, *self._open])

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()  # as a server that is not there would, but for a moment of hope
                continue
            self._open += [client, server]
            for source, target, is_answer in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, target, is_answer), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):  # either side has closed the connection
            while data := source.recv(self._size):
                self.passing(data, is_answer=is_answer)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        # The shutdown wakes a thread that waits in accept or recv; the close does not.
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
