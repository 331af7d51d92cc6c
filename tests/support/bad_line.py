"""BadLine: a TCP proxy that delays each piece of data, or swallows everything for a while.

Owns its switches. Leaves connections to tcp_proxy.py. New connections are accepted all the time, as by a
kernel whose program hangs.
"""

from __future__ import annotations

import threading
import time

from tests.support.tcp_proxy import TcpProxy


class BadLine(TcpProxy):
    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port))
        self.port = int(self.url.rpartition(":")[2])
        self.delay_seconds = 0.0
        """Of each piece, in each direction."""
        self._open_again = threading.Event()
        self._open_again.set()

    def swallow(self) -> None:
        """From now on nothing arrives, until `recover`."""
        self._open_again.clear()

    def recover(self) -> None:
        """What was under way is lost: its connections end, as after a long silence."""
        self.cut()
        self._open_again.set()

    def passing(self, data: bytes, *, is_answer: bool) -> None:
        time.sleep(self.delay_seconds)
        self._open_again.wait()
