"""Refusals leave a row in the audit trail, so that operators see which requests failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from broker.errors import STORE_FAULTS, Refusal
from broker.principal import Principal
from broker.sessions.session import Reservations


@contextmanager
def recorded_refusals(ledger: Reservations, principal: Principal, action: str) -> Iterator[None]:
    """Record a refusal from inside, and pass it on."""
    try:
        yield
    except Refusal as refusal:
        if refusal.code not in STORE_FAULTS:
            ledger.refused(principal, action, refusal.code)
        raise
