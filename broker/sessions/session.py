"""Session: the grant that we track, from its first token to its end, and the states that it moves through.

    reserved --confirm--> open --end----------> ended
        |                   |--given up-------> ended   (no sign of life until its place was free again)
        +----void-------> void                          (nothing was delivered: it never counted)

`ends_at` passes without anybody writing it down: a session past it is over, whatever its row says.
A token moves the same way: reserved -> issued, or reserved -> void.

A session has a place among those open at once until `held_until`, and is counted by nothing else:

    reserved, or open and not heard of   its newest token's `connect_by` + 30 s
    open, after the first heartbeat      its newest token's `expires_at`; it may be talking until then
    ended by its owner                   at once, for 20 early releases an hour; later ones keep their place
    ended by an operator; void           at once

So each place frees itself, whatever crashed. An open session whose place has lapsed gets a new one with its
next token, if there is room. A heartbeat that comes when the place is lost and the token is still good ends
the session: it may be talking, and somebody else has its place.

Seconds of talk are charged with the reservation, until the token's end; a token that replaces a live one only
for what goes beyond it. Its owner's end gives back what was not used, once; a void gives back everything; a
reservation that was never confirmed stops counting with its place. Any other end is charged in full.
An end and a replacement are what the client says and not what Google saw: hence the bound on early releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from broker.errors import Code
from broker.limits.quota import Quotas, QuotaUsage
from broker.minting.minter import MintedToken
from broker.principal import Principal


class SessionState(StrEnum):
    UNKNOWN = "unknown"
    RESERVED = "reserved"
    OPEN = "open"
    ENDED = "ended"
    VOID = "void"


class TokenState(StrEnum):
    UNKNOWN = "unknown"
    RESERVED = "reserved"
    ISSUED = "issued"
    VOID = "void"


@dataclass(frozen=True)
class Session:
    id: str
    profile: str
    model: str
    state: SessionState
    opened_at: datetime
    ends_at: datetime
    held_until: datetime
    heartbeat_at: datetime | None = None
    ended_at: datetime | None = None
    token_expires_at: datetime | None = None
    on_behalf_of: str | None = None
    """The user of the asking service key to whom it belongs; None if it is the asker's own."""


@dataclass(frozen=True)
class SessionTerms:
    """What a new session is to be. Lengths in seconds; `slice_seconds` is the lifetime of one token."""

    profile: str
    model: str
    session_seconds: int
    slice_seconds: int
    connect_within_seconds: int
    client: Mapping[str, str]


@dataclass(frozen=True)
class Reservation:
    """One reserved token of a session. All times are by the store's clock."""

    token_id: str
    session_id: str
    opens_session: bool
    reserved_at: datetime
    connect_by: datetime
    expires_at: datetime
    ends_at: datetime
    usage: QuotaUsage
    """The principal's own, this session included."""


class Reservations(Protocol):
    """The steps that lead to a session's first token. Each method is one transaction.

    The ledger itself is the usual form. A request that may be repeated brings one that also keeps its answer.
    """

    def begin(self) -> bool:
        """The first step. Returns whether an earlier attempt at the same request was counted already."""

    def reserve(self, principal: Principal, terms: SessionTerms, quotas: Quotas) -> Reservation:
        """Write down a new session with its first token before anybody asks Google for it.

        Refuses `too-many-sessions`, `minutes-exhausted` and `project-capacity`; exact under any interleaving.
        """

    def confirm(
        self, principal: Principal, reservation: Reservation, token: MintedToken, mint_ms: int | None = None
    ) -> None:
        """The token exists; Google took `mint_ms` to make it. Only its SHA-256 is stored.

        Refuses if the session ended in the meantime: then the token must not be delivered.
        """

    def void(self, reservation: Reservation, refusal_code: Code) -> None:
        """No token was delivered: the reservation counts as nothing."""

    def refused(self, principal: Principal, action: str, code: Code, session_id: str | None = None) -> None:
        """Record a refusal. `session_id` names the reserved session that it ended, if there was one."""


class Ledger(Reservations, Protocol):
    """The book of sessions and tokens. `store.ledger` implements it; each method is one transaction."""

    def together(self) -> AbstractContextManager[None]:
        """One transaction for everything that this thread asks of the store inside.

        A refusal from inside is an answer and leaves what was written before it; a fault leaves nothing.
        """

    def all_or_nothing(self) -> AbstractContextManager[None]:
        """The same, but a refusal from inside leaves nothing either."""

    def reserve_next(
        self,
        principal: Principal,
        session_id: str,
        slice_seconds: int,
        connect_within_seconds: int,
        quotas: Quotas,
    ) -> Reservation:
        """The next token of an open session; refuses `session-unknown`, `session-ended` and as `reserve`.

        A session that has kept its place needs no new one, so it is not refused for want of one.
        """

    def find(self, principal: Principal, session_id: str) -> Session:
        """The principal's own session, or one that it opened for a user; any other is `session-unknown`."""

    def open_sessions(self, principal: Principal, most: int) -> list[Session]:
        """Those that `find` would find, that are open and have a place, the newest first."""

    def usages(self, quotas: Quotas) -> tuple[list[QuotaUsage], bool]:
        """What is taken of each, and whether the project has no place for them. Nothing is locked."""

    def heartbeat(self, principal: Principal, session_id: str) -> Session:
        """A sign of life: the session keeps its place until its newest token expires."""

    def end(self, principal: Principal, session_id: str) -> Session:
        """End it; ending it again changes nothing."""

    def repeated(self, principal: Principal, session_id: str, token: MintedToken) -> None:
        """Record that the answer to a first request was given again."""
