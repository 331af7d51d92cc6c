"""The gunicorn worker: gthread with a clean end.

At SIGTERM, gthread resets the connections that wait in the listener's queue. This worker accepts them first.
It then closes the listener, so that later clients are refused at once, finishes every request that it has
accepted, and answers late requests with 503 `draining`.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog
from gunicorn.workers.gthread import ThreadWorker

from broker.http.draining import DRAIN
from broker.parts import parts_of

_log = structlog.get_logger("broker.http")


class DrainingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: not ready from now on; BROKER_DRAIN_SECONDS later the listener closes."""
        if DRAIN.has_begun:
            return
        DRAIN.begin()
        # A signal handler must not wait for the log's lock, so a thread does the rest.
        threading.Thread(target=self._drain, args=(sig, frame), daemon=True).start()

    def _drain(self, sig: int, frame: Any) -> None:
        # A worker that is still loading the app has accepted nothing.
        app = getattr(self, "wsgi", None)
        seconds = parts_of(app).settings.drain_seconds if app else 0
        _log.info("draining", listener_closes_in_seconds=seconds)
        time.sleep(seconds)
        super().handle_exit(sig, frame)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            connections = None
            while connections != self.nr_conns:
                connections = self.nr_conns
                self.accept(listener)
            listener.close()
        DRAIN.refuse_from_now_on()

    def enqueue_req(self, conn: Any) -> None:
        conn.came_too_late = DRAIN.refuses
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        DRAIN.enter(refused=conn.came_too_late)
        return super().handle(conn)
