"""Story: the token issuer with real parts: SQLite, the real counters, and a minter without a network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NoReturn

import pytest
from sqlalchemy import select

from broker.errors import Refusal
from broker.identity.bearer import Verified
from broker.identity.issuers.attestation import Attestations
from broker.issuing.issue import TokenIssuer
from broker.issuing.request import TokenRequest
from broker.issuing.warm import FirstReservations
from broker.limits.limiter import create_rates
from broker.limits.policy import Policy
from broker.minting.minter import MintedToken, Minter, TokenPlan, TokenTimes
from broker.minting.warm import WarmTokens
from broker.principal import Principal
from broker.profiles.catalog import Catalog
from broker.profiles.profile import Profile
from broker.settings import Plan, Project
from broker.store.database.engine import Database
from broker.store.database.tables import audit
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.rates import rate_storage
from broker.store.ledger.suspension import SqlSuspensions
from tests.support.servers import own_principal

ALICE, BOB = own_principal("alice"), own_principal("bob")
KEY = Principal("live-broker:key", "k1", "shop", "default")
PLAN = Plan(rate="3/minute", sessions=2, minutes_per_day=60, session_minutes=30)
PROFILES = [
    Profile(name="default"),
    Profile(name="gold", plans=frozenset({"gold"})),
    Profile(name="attested", attestation="enforce"),
    Profile(name="warm", warm=2),
]


class CountingMinter(Minter):
    """Mints `auth_tokens/1`, `auth_tokens/2` and so on, or fails with `fault`."""

    def __init__(self) -> None:
        self.minted = 0
        self.times: dict[MintedToken, TokenTimes] = {}
        self.fault: Exception | None = None
        self.down: Refusal | None = None
        """The refusal of an open breaker."""

    def token_plan(self, profile: Profile, handle: str | None = None, model: str | None = None) -> TokenPlan:
        return TokenPlan(model or "models/m", {"handle": handle, "profile": profile.name}, ())

    def is_ready(self, profile: Profile) -> bool:
        return profile.attestation == "off"

    def offers_none(self, profile: Profile) -> bool:
        return False

    def check_upstream(self) -> None:
        if self.down is not None:
            raise self.down

    def mint(
        self,
        profile: Profile,
        token_plan: TokenPlan,
        *,
        expires_at: datetime,
        connect_by: datetime,
        handle: str | None = None,
    ) -> MintedToken:
        assert connect_by <= expires_at
        assert token_plan.setup == {"handle": handle, "profile": profile.name}
        if self.fault is not None:
            raise self.fault
        self.minted += 1
        token = MintedToken(f"auth_tokens/{self.minted}")
        self.times[token] = TokenTimes(connect_by, expires_at)
        return token


def admit_no_app(_: Verified) -> NoReturn:
    raise AssertionError("no test presents a valid attestation")


class Story:
    def __init__(self, database: Database, plan: Plan = PLAN) -> None:
        self.database = database
        self.minter = CountingMinter()
        self.admitted: list[Principal] = []
        self.background: list[Callable[[], None]] = []
        self.seconds = 0.0
        self.warm_tokens = WarmTokens(
            PROFILES,
            self.minter,
            is_stopped=lambda _: False,
            most_at_once=8,
            clock=lambda: self.seconds,
            start=self.background.append,
        )
        self.issuer = TokenIssuer(
            policy=Policy({"default": plan}, project=Project()),
            rates=create_rates(rate_storage(database, None)),
            catalog=Catalog(PROFILES),
            attestations=Attestations([], admit_no_app),
            minter=self.minter,
            first=FirstReservations(self.warm_tokens),
            ledger=SqlLedger(database),
            suspensions=SqlSuspensions(database),
            admit=self._admit,
        )

    def _admit(self, principal: Principal) -> Principal:
        self.admitted.append(principal)
        if principal.subject == "blocked":
            raise Refusal("account-blocked")
        return principal

    def remaining(self, principal: Principal, scope: str = "token") -> int:
        return self.issuer.rates.left(PLAN.rate, scope, principal.key)[0].remaining

    def usage(self, principal: Principal) -> tuple[int, int]:
        """Open sessions and charged seconds."""
        usages, _ = self.issuer.ledger.usages(self.issuer.policy.for_principal(principal).quotas)
        return usages[-1].open, usages[-1].used_seconds

    def trail(self) -> list[tuple[str, str]]:
        with self.database.read() as connection:
            rows = connection.execute(select(audit.c.action, audit.c.outcome).order_by(audit.c.id))
            return [(row.action, row.outcome) for row in rows]


def refused(story: Story, principal: Principal, request: TokenRequest) -> str:
    with pytest.raises(Refusal) as caught:
        story.issuer.open_session(principal, request)
    return caught.value.code
