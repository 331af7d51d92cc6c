"""Repeats: requests that carry an Idempotency-Key, so that an answer that was lost can be had again.

The first request with a key claims it for a minute. A repeat gets the first one's session and token: not
another token, which Google would let in beside the first. For that the token is kept sealed, under a key that
is made of the Idempotency-Key and of the broker's secret; what is stored holds neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a lease says which claim it settles
    from broker.sessions.session import Reservation

REMEMBERED = timedelta(seconds=60)
# No request takes as long: its worker was killed, and a repeat takes its place.
GIVEN_UP = timedelta(seconds=15)


@dataclass(frozen=True)
class IdempotencyKey:
    """What makes two requests the same: the asker with its key, and the body."""

    key: str
    """A hash of the asker and the Idempotency-Key."""
    body_sha256: str
    idempotency_key: str = field(repr=False)


@dataclass(frozen=True)
class Claim:
    """That this request is the first one. `paid`: one before it died after its request was counted."""

    key: str
    id: str
    paid: bool = False


@dataclass(frozen=True)
class StoredResponse:
    """What the first one got. Times are counted from `reservation.reserved_at`, the time of the repeat."""

    reservation: Reservation
    profile: str
    model: str
    sealed: bytes = field(repr=False)


class InProgress(Exception):  # noqa: N818 - not a fault: the first one is not done yet
    """Another request with the same key and body has claimed it."""


class Claims(Protocol):
    """The book of claims. `store.claims` implements it; `Ledger.confirm` and `void` settle a claim."""

    def recall(self, once: IdempotencyKey) -> StoredResponse | None:
        """What the first one got; None if there is no first one, or nobody waits for it any more.

        Raises `InProgress`; refuses `idempotency-conflict` for another body, and `session-ended`.
        """

    def claim(self, once: IdempotencyKey) -> Claim:
        """Be the first one. Raises and refuses as `recall`; what a dead one had reserved is taken back."""

    def free(self, claim: Claim) -> None:
        """Nothing came of it: the next request with this key is the first one again."""
