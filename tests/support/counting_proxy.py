"""CountingProxy: records the paths of requests, in order, and counts the bytes of the responses.

Needs the port of an HTTP/1.1 server. Leaves connections to tcp_proxy.py.
"""

from __future__ import annotations

import re
import threading

from tests.support.tcp_proxy import TcpProxy

_REQUEST_LINE = re.compile(rb"^(?:GET|POST|DELETE) (\S+) HTTP/1\.1\r\n", re.MULTILINE)


class CountingProxy(TcpProxy):
    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port))
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Begins to count again."""
        self.paths: list[str] = []
        self.bytes_down = 0

    def passing(self, data: bytes, *, is_answer: bool) -> None:
        with self._lock:
            if is_answer:
                self.bytes_down += len(data)
            else:
                self.paths += [path.decode() for path in _REQUEST_LINE.findall(data)]
