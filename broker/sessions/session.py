"""Session: the grant that we track, from its first token to its end, and the states that it moves through.

    reserved --confirm--> open --end--> ended
        |
        +----void-------> void         (nothing was delivered: it never counted)

`ends_at` passes without anybody writing it down: a session past it is over, whatever its row says.
A token moves the same way: reserved -> issued, or reserved -> void.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from broker.identity.principal import Principal


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
    token_expires_at: datetime | None = None
    on_behalf_of: str | None = None
    """The user of the asking service key to whom it belongs; None if it is the asker's own."""


@dataclass(frozen=True)
class Terms:
    """What a new session is to be. Lengths in seconds; `slice_seconds` is the lifetime of one token."""

    profile: str
    model: str
    session_seconds: int
    slice_seconds: int
    connect_within_seconds: int
    client: Mapping[str, str]


@dataclass(frozen=True)
class Lease:
    """One reserved token of a session. All times are by the store's clock."""

    token_id: str
    session_id: str
    opens_session: bool
    reserved_at: datetime
    connect_by: datetime
    expires_at: datetime
    ends_at: datetime


class Ledger(Protocol):
    """The book of sessions and tokens. `store.ledger` implements it; each method is one transaction."""

    def reserve(self, principal: Principal, terms: Terms) -> Lease:
        """Write down a new session with its first token before anybody asks Google for it."""

    def reserve_next(
        self, principal: Principal, session_id: str, slice_seconds: int, connect_within_seconds: int
    ) -> Lease:
        """The next token of an open session; refuses `session-unknown` and `session-ended`."""

    def confirm(self, principal: Principal, lease: Lease, token_sha256: str) -> None:
        """The token exists. Refuses if the session ended in the meantime: then it must not be delivered."""

    def void(self, principal: Principal, lease: Lease, refusal_code: str) -> None:
        """No token was delivered: it counts as nothing."""

    def find(self, principal: Principal, session_id: str) -> Session:
        """The principal's own session, or one that it opened for a user; any other is `session-unknown`."""

    def open_sessions(self, principal: Principal, most: int) -> list[Session]:
        """Those that `find` would find and that are open, the newest first."""

    def heartbeat(self, principal: Principal, session_id: str) -> Session: ...

    def end(self, principal: Principal, session_id: str) -> Session:
        """End it; ending it again changes nothing."""

    def refused(self, principal: Principal, action: str, code: str) -> None:
        """Record a refusal that came before any reservation."""
