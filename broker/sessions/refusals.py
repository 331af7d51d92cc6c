"""Refusals leave a row in the audit trail, so that operators see which requests failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from broker.errors import STORE_FAULTS, Code, Refusal
from broker.principal import Principal
from broker.sessions.session import Reservations

_SILENT_SECONDS = 4.0


@contextmanager
def recorded_refusals(ledger: Reservations, principal: Principal, action: str) -> Iterator[None]:
    """Record a refusal from inside, and pass it on."""
    try:
        yield
    except Refusal as refusal:
        if refusal.code not in STORE_FAULTS:
            ledger.refused(principal, action, refusal.code)
        raise


def store_is_silent(code: Code, started: float) -> bool:
    """Whether another call to the failed store could take this request past its deadline of ten seconds.

    `started` is the time of `time.monotonic` when the call to Google began.
    """
    return code in STORE_FAULTS and time.monotonic() - started > _SILENT_SECONDS
