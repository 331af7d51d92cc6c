"""A TCP proxy on loopback that counts: what was asked for, in which order, and every byte that came back.

Owns: its listening socket and threads. Needs the port of an HTTP/1.1 server. Leaves what passes as it is.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from types import TracebackType
from typing import Self

_REQUEST_LINE = re.compile(rb"^(?:GET|POST|DELETE) (\S+) HTTP/1\.1\r\n", re.MULTILINE)


class CountingProxy:
    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.forget()

    def forget(self) -> None:
        """Begin to count again."""
        self.paths: list[str] = []
        self.bytes_down = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for one in (self._listener, *self._open):
            # A thread that waits in accept or recv is woken by the shutdown, not by the close.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                browser, _ = self._listener.accept()
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self._upstream))
            self._open += [browser, broker]
            for source, target, is_answer in ((browser, broker, False), (broker, browser, True)):
                threading.Thread(target=self._pass, args=(source, target, is_answer), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(65536):
                with self._lock:
                    if is_answer:
                        self.bytes_down += len(data)
                    else:
                        self.paths += [path.decode() for path in _REQUEST_LINE.findall(data)]
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # either side has hung up
