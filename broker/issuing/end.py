"""How the owner of a session ends it: whose limits decide what is given back -> end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.errors import Refusal
from broker.limits.policy import Policy
from broker.principal import KEY_ISSUER, Principal
from broker.sessions.session import Ledger, Session


@dataclass(frozen=True, kw_only=True)
class SessionEnder:
    policy: Policy
    ledger: Ledger
    admit: Callable[[Principal], Principal]
    """As in `issue.TokenIssuer`."""
    settle: Callable[[], None] = lambda: None
    """Sums up what sessions that are over have used, now and then."""

    def end(self, requester: Principal, session_id: str) -> Session:
        """Ends a session that `requester` owns, or opened as a service key. Refuses `session-unknown`."""
        owner = requester
        if requester.issuer == KEY_ISSUER:
            owner = self.ledger.find(requester, session_id).owner(requester)
            if owner.actor is not None:
                owner = self._user(owner)
        ended = self.ledger.end(requester, session_id, self.policy.for_principal(owner).quotas)
        self.settle()
        return ended

    def _user(self, user: Principal) -> Principal:
        try:
            return self.admit(user)
        except Refusal as refusal:
            if refusal.code != "account-blocked":
                raise
            return user  # a blocked user's session may still be ended
