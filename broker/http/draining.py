"""Draining: how a process answers between SIGTERM and its end.

1. `begin`: `/readyz` answers 503, so that load balancers send no more requests. Everything else is served.
2. `refuse_from_now_on`, BROKER_DRAIN_SECONDS later: the listener closes. Accepted requests are finished.
   A request that arrives on a kept connection gets 503 `draining`.

The server calls both (`http/gunicorn_worker`). A process drains once, so the state belongs to the process.
"""

from __future__ import annotations

import threading

from flask import Flask, request

from broker.errors import Refusal

_ALWAYS_ANSWERED = {"health.healthz", "health.readyz"}


class Drain:
    def __init__(self) -> None:
        self._began = threading.Event()
        self._refuses = threading.Event()
        self._request = threading.local()

    @property
    def has_begun(self) -> bool:
        return self._began.is_set()

    @property
    def refuses(self) -> bool:
        """Whether connections that become readable now bring requests that are refused."""
        return self._refuses.is_set()

    def begin(self) -> None:
        self._began.set()

    def refuse_from_now_on(self) -> None:
        self._began.set()
        self._refuses.set()

    def enter(self, *, refused: bool) -> None:
        """Says, for the request that this thread handles next, whether it came too late."""
        self._request.refused = refused

    @property
    def refuses_this_request(self) -> bool:
        return bool(getattr(self._request, "refused", False))


DRAIN = Drain()


def install(app: Flask) -> None:
    """Before every other check: a request that came too late costs nothing."""

    def before() -> None:
        if DRAIN.refuses_this_request and request.endpoint not in _ALWAYS_ANSWERED:
            raise Refusal("draining", "This worker is shutting down. Send the request again.")

    app.before_request(before)
