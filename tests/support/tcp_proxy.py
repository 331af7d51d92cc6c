"""A TCP proxy on loopback: what comes to it goes to a server and back, past a hook for each piece.

Owns: its listening socket and threads. Needs the address of a server. Leaves what passes as it is.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class TcpProxy:
    """Use as a context manager. `received_at_once`: bytes that it takes before it passes them on."""

    def __init__(self, server: tuple[str, int], *, received_at_once: int = 65536) -> None:
        self._server = server
        self._size = received_at_once
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []

    def passing(self, data: bytes, *, is_answer: bool) -> None:
        """Called before each piece is passed on, in a thread of its own for each direction."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            # A thread that waits in accept or recv is woken by the shutdown, not by the close.
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._open += [client, server]
            for source, target, is_answer in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, target, is_answer), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):  # either side has hung up
            while data := source.recv(self._size):
                self.passing(data, is_answer=is_answer)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
