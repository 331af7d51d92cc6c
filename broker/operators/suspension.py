"""SuspensionAdmin: suspends and resumes the minting of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from broker.operators.errors import OperatorError
from broker.operators.principals import readable
from broker.sessions.suspension import Suspension
from broker.settings import Settings
from broker.store.database.engine import Database
from broker.store.ledger.suspension import SqlSuspensions


class SuspensionAdmin:
    def __init__(self, settings: Settings, database: Database, *, actor: str) -> None:
        self._profiles = settings.config.profiles
        self._suspensions = SqlSuspensions(database)
        self._actor = actor

    def current(self) -> Suspension | None:
        return self._suspensions.current()

    def suspend(
        self, reason: str, profiles: Sequence[str] | None = None, *, renewals: bool = False
    ) -> Suspension:
        """Refuse new tokens from the next request on, on every worker and host.

        `profiles` None suspends all of them. `renewals` also refuses further tokens of open sessions.
        A suspension that is already in force is replaced.
        """
        readable(reason, "a reason", field="reason")
        if profiles is not None:
            if not profiles:
                raise OperatorError(
                    "name at least one profile, or leave the list out for all", field="profiles"
                )
            for name in profiles:
                if name not in self._profiles:
                    known = ", ".join(sorted(self._profiles))
                    raise OperatorError(
                        f"there is no profile {name!r}; choose one of: {known}", field="profiles"
                    )
            profiles = sorted(set(profiles))
        return self._suspensions.set(reason, profiles, renewals=renewals, actor=self._actor)

    def resume(self) -> bool:
        """Mint again. Returns whether minting was suspended."""
        return self._suspensions.lift(actor=self._actor)
