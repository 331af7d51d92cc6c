"""IdempotencyRecord: the first request with a key, and the response that its repeats get.

The first request holds the key for a minute. A repeat gets the session and the token of the first one, not
another token, which Google would let in beside the first. For that the token is stored encrypted, under a key
that is made of the Idempotency-Key and of the broker's secret; the store holds neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from broker.idempotency.key import IdempotencyKey
from broker.sessions.session import Reservation

REMEMBERED = timedelta(seconds=60)
# No request takes as long: its worker was killed, and a repeat takes its place.
GIVEN_UP = timedelta(seconds=15)


@dataclass(frozen=True)
class IdempotencyRecord:
    """Held by the first request with `key`. `id` differs if a later request takes its place."""

    key: str
    id: str
    already_counted: bool = False
    """An earlier request with this key died after it was counted."""


@dataclass(frozen=True)
class StoredResponse:
    """The response of the first request. `reservation.reserved_at` is the time of the repeat.

    `reservation.usage` is empty: only the answer to the repeat needs it, and reads it anew.
    """

    reservation: Reservation
    profile: str
    model: str
    encrypted_token: bytes = field(repr=False)


class InProgress(Exception):  # noqa: N818 - not a fault: the first request is not done yet
    """Another request with the same key and body is the first one, and has no response yet."""


class IdempotencyRecords(Protocol):
    """The records. `store.ledger.idempotency` implements it; each method is one transaction."""

    def find(self, key: IdempotencyKey) -> StoredResponse | None:
        """The response of the first request; None if there is none, or if it was given up.

        Raises `InProgress`; refuses `idempotency-conflict` for another body, and `session-ended`.
        """

    def begin(self, key: IdempotencyKey) -> IdempotencyRecord:
        """Become the first request. Raises and refuses as `find`; voids what a dead one had reserved."""

    def bind(self, record: IdempotencyRecord, reservation: Reservation) -> None:
        """The first request has reserved its token. Refuses if another request took its place."""

    def keep(self, record: IdempotencyRecord, encrypted_token: bytes) -> None:
        """The first request has its token. Refuses if another request took its place."""

    def free(self, record: IdempotencyRecord) -> None:
        """The first request came to nothing: the next one with this key is the first one again."""
