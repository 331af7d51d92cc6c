"""A block while a token is being minted: the block counts the token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from broker.identity.users import User
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.principal import KEY_ISSUER, Principal, end_user
from broker.sessions.session import Reservation, SessionTerms
from broker.store.accounts.blocks import SqlBlocks
from broker.store.accounts.users import SqlUsers
from broker.store.database.engine import Database
from broker.store.ledger.ledger import SqlLedger
from tests.store.conftest import MakeDatabase
from tests.support.servers import own_principal

IDP = "https://idp.example/"
ALICE, EVE = own_principal("alice"), Principal(IDP, "u-1", "Eve", "default")
KEY = Principal(KEY_ISSUER, "abc", "shop", "default")
USER = end_user(KEY, "user-123")
TERMS = SessionTerms("default", "models/m", 7200, 900, 120, {})
TOKEN = MintedToken("auth_tokens/canary")

Block = Callable[[Database], datetime | None]


def block_principal(principal: Principal) -> Block:
    return lambda database: SqlBlocks(database).block_principal(
        principal.issuer, principal.subject, actor="tests"
    )


def block_alice(database: Database) -> datetime | None:
    return SqlUsers(database).block("alice", actor="tests")


WHO: dict[str, tuple[Principal, Block]] = {
    "an own user": (ALICE, block_alice),
    "a user of another issuer": (EVE, block_principal(EVE)),
    "a user of a service key": (USER, block_principal(USER)),
    "the key of a user": (USER, block_principal(KEY)),
}
each_principal = pytest.mark.parametrize(("principal", "block"), WHO.values(), ids=WHO)


class SteppedClock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def begin(database: Database, principal: Principal) -> tuple[SqlLedger, Reservation]:
    """The state of the store while Google is asked."""
    SqlUsers(database).add(User("alice", "hash"), actor="tests")
    ledger = SqlLedger(database)
    return ledger, ledger.reserve(principal, TERMS, quotas(principal))


def quotas(principal: Principal) -> Quotas:
    return Quotas((Quota(principal.key, 5, 600),), 50, "default")


@each_principal
def test_block_counts_a_token_that_is_being_minted(
    database: Database, principal: Principal, block: Block
) -> None:
    _, reservation = begin(database, principal)
    assert block(database) == reservation.expires_at


@each_principal
def test_block_counts_a_renewal_that_is_being_minted(
    make_database: MakeDatabase, principal: Principal, block: Block
) -> None:
    clock = SteppedClock()
    database = make_database(clock=clock)
    ledger, reservation = begin(database, principal)
    ledger.confirm(principal, reservation, TOKEN)
    clock.now += timedelta(seconds=60)
    renewal = ledger.reserve_next(principal, reservation.session_id, 900, 120, quotas(principal))
    assert renewal.expires_at > reservation.expires_at
    assert block(database) == renewal.expires_at


@each_principal
def test_block_does_not_count_a_token_that_no_one_can_get(
    make_database: MakeDatabase, principal: Principal, block: Block
) -> None:
    """Its worker has ended, or Google has refused."""
    clock = SteppedClock()
    database = make_database(clock=clock)
    ledger, reservation = begin(database, principal)
    lost = ledger.reserve(principal, TERMS, quotas(principal))
    ledger.void(reservation, "upstream-error")
    clock.now = lost.connect_by
    assert block(database) is None
