"""How the owner of a session ends it: whose limits decide what is given back -> end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.issuing.owners import SessionOwners
from broker.principal import Principal
from broker.sessions.session import Ledger, Session


@dataclass(frozen=True, kw_only=True)
class SessionEnder:
    owners: SessionOwners
    ledger: Ledger
    settle: Callable[[], None] = lambda: None
    """Sums up what sessions that are over have used, now and then."""

    def end(self, requester: Principal, session_id: str) -> Session:
        """Ends a session that `requester` owns, or opened as a service key. Refuses `session-unknown`."""
        ended = self.ledger.end(requester, session_id, self.owners.quotas(requester, session_id))
        self.settle()
        return ended
