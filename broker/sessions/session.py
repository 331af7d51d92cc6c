"""Session: one conversation that the broker tracks, from its first token to its end.

States of a session:

    reserved --confirm--> open --end----------> ended
        |                   |--given up-------> ended   (no heartbeat came until its place was free again)
        +----void-------> void                          (no token was delivered: it never counted)

A token is reserved, and then issued or void. No row changes when `ends_at` passes: from then on a session is
over, whatever its row says.

Places. A session has a place among the sessions open at once until `held_until`. Nothing else decides whether
it counts.

    reserved, or open without a heartbeat   until its newest token's `connect_by` + 30 s
    open, after its first heartbeat         until its newest token's `expires_at`: it may talk until then
    ended by its owner                      free at once, if what is left of its tokens can be forgiven;
                                            otherwise until they expire
    ended by an operator, or void           free at once

So every place becomes free by itself, whatever crashes. An open session without a place gets a new one with
its next token, if there is room. A heartbeat may arrive when the place is gone and the token is still valid.
Then the session ends: it may be talking, and another session may have its place.

Charges. The seconds of a token are charged when it is reserved, up to its end. A token that replaces a valid
one is charged only for the time beyond it. When the owner ends the session, the unused seconds are given
back, once. A void gives back everything. A reservation that is never confirmed stops counting with its place.
Any other end is charged in full.

The broker hears of an end or a replacement from the client, not from Google. So the time that is given back
or not charged again is limited: see `limits.forgiveness`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from broker.errors import Code
from broker.limits.quota import Quotas, QuotaUsage
from broker.minting.minter import MintedToken, TokenTimes
from broker.principal import Principal, end_user, team_named


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
    """The user to whom it belongs, if a service key opened it and asks; otherwise None."""
    user_plan: str = "default"
    """The plan of that user, which was chosen when the session was opened."""
    ended_by_operator: bool = False
    is_counted: bool = True
    """False once its place was found to be free. Others may have it, even if a clock is set back."""
    spent_on: str = ""
    """The day on which it counts in budgets. Empty if it does not."""
    spent_nanos: int = 0
    spent_seconds: int = 0
    team: str | None = None
    """The team for which it counts: that of its owner when it was opened."""

    def owner(self, requester: Principal) -> Principal:
        """The principal to whom it belongs; `requester` owns it, or opened it as a service key."""
        user = self.on_behalf_of
        owner = requester if user is None else end_user(requester, user, self.user_plan)
        if self.team == (owner.team and owner.team.subject):
            return owner
        return replace(owner, team=team_named(self.team))

    def holds_place(self, now: datetime) -> bool:
        return self.is_counted and self.held_until > now


@dataclass(frozen=True)
class SessionTerms:
    """The terms of a new session. Lengths are in seconds; `slice_seconds` is the lifetime of one token."""

    profile: str
    model: str
    session_seconds: int
    slice_seconds: int
    connect_within_seconds: int
    client: Mapping[str, str]
    slice_is_fixed: bool = False
    """The caller chose the length of the first token: it is not shortened to what can be forgiven."""
    ready: TokenTimes | None = None
    """The times of a token that was minted ahead. It is reserved with them if it suits the caller."""
    user_plan: str | None = None
    """The plan of a service key's user: later tokens of the session have it, too."""


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
    """The principal's own usage, with this session."""

    @property
    def times(self) -> TokenTimes:
        return TokenTimes(self.connect_by, self.expires_at)


class Reservations(Protocol):
    """The steps that lead to a session's first token. Each method is one transaction.

    Usually this is the ledger itself. For a request that may be repeated, the steps also keep its response.
    """

    def begin(self) -> bool:
        """The first step. Returns whether an earlier attempt at the same request was counted already."""

    def reserve(self, principal: Principal, terms: SessionTerms, quotas: Quotas) -> Reservation:
        """Write down a new session with its first token, before Google is asked for it.

        Refuses `too-many-sessions`, `minutes-exhausted`, `budget-exhausted` and `project-capacity`; exact
        under any interleaving.
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

        A session that still has its place needs no new one: a full project does not stop it.
        """

    def find(self, principal: Principal, session_id: str) -> Session:
        """The principal's own session, or one that it opened for a user; any other is `session-unknown`."""

    def placed_sessions(self, principal: Principal, most: int) -> list[Session]:
        """The principal's sessions that have a place, and those it opened for users; newest first.

        Ended ones, too, if they were not believed, and those whose first token is being minted.
        """

    def usages(self, quotas: Quotas, model: str | None = None) -> tuple[list[QuotaUsage], bool]:
        """How much of each quota is used, and whether the project is full for them. Nothing is locked.

        The principal's own usage is last. `model` is that of the next session: its price is for budgets.
        """

    def heartbeat(self, principal: Principal, session_id: str) -> Session:
        """The session is alive: it keeps its place until its newest token expires."""

    def end(self, principal: Principal, session_id: str, quotas: Quotas) -> Session:
        """End it; ending it again changes nothing. `quotas` are those of its owner."""

    def repeated(self, principal: Principal, session_id: str, token: MintedToken) -> None:
        """Record that a repeated request got the response of the first one again."""
