"""Whose limits the renewals, reports and the end of a session use: those of its owner as they are now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from broker.errors import Refusal
from broker.limits.policy import Policy
from broker.limits.quota import Quotas
from broker.principal import Principal
from broker.sessions.session import Ledger, Session


def owner_of(session: Session, requester: Principal, admit: Callable[[Principal], Principal]) -> Principal:
    """The requester, or its user if it is a service key; in the team for which the session counts.

    `admit` looks up a user or a team, and adds the overrides.
    """
    owner = session.owner(requester)
    if owner.actor is not None:
        return admit(owner)
    if owner is requester:
        return owner
    return replace(owner, team=owner.team and admit(owner.team))


@dataclass(frozen=True, kw_only=True)
class SessionOwners:
    policy: Policy
    ledger: Ledger
    admit: Callable[[Principal], Principal]
    """As in `issue.TokenIssuer`."""

    def quotas(self, requester: Principal, session_id: str) -> Quotas:
        """`requester` owns the session, or opened it as a service key. May refuse `session-unknown`."""
        owner = owner_of(self.ledger.find(requester, session_id), requester, self._known)
        return self.policy.for_principal(owner).quotas

    def _known(self, user_or_team: Principal) -> Principal:
        try:
            return self.admit(user_or_team)
        except Refusal as refusal:
            if refusal.code != "account-blocked":
                raise
            return user_or_team  # a blocked user's session may still be ended
