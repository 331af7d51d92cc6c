"""A slow network: a proxy between the browser and the stand-in that can stop the traffic."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

from tests.support.tcp_proxy import TcpProxy

_TAKEN_BYTES = 4096


class Wire(TcpProxy):
    """Clogged, it takes nothing more from the browser; what the service says comes through."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        super().__init__((str(parts.hostname), int(parts.port or 0)), received_at_once=_TAKEN_BYTES)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _TAKEN_BYTES)
        self._flowing = threading.Event()
        self._flowing.set()

    def clog(self) -> None:
        self._flowing.clear()

    def free(self) -> None:
        self._flowing.set()

    def passing(self, data: bytes, *, is_answer: bool) -> None:
        if not is_answer:
            self._flowing.wait()

    def __exit__(self, *_: object) -> None:
        self.free()
        super().__exit__()
