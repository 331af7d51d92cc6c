"""Whose limits a session uses: those of its owner as they are now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.errors import Refusal
from broker.limits.policy import Policy
from broker.limits.quota import Quotas
from broker.principal import KEY_ISSUER, Principal
from broker.sessions.session import Ledger


@dataclass(frozen=True, kw_only=True)
class SessionOwners:
    policy: Policy
    ledger: Ledger
    admit: Callable[[Principal], Principal]
    """As in `issue.TokenIssuer`."""

    def quotas(self, requester: Principal, session_id: str) -> Quotas:
        """`requester` owns the session, or opened it as a service key. May refuse `session-unknown`."""
        owner = requester
        if requester.issuer == KEY_ISSUER:
            owner = self.ledger.find(requester, session_id).owner(requester)
            if owner.actor is not None:
                owner = self._user(owner)
        return self.policy.for_principal(owner).quotas

    def _user(self, user: Principal) -> Principal:
        try:
            return self.admit(user)
        except Refusal as refusal:
            if refusal.code != "account-blocked":
                raise
            return user  # a blocked user's session may still be ended
