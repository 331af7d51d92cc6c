"""A block while a token is being minted: the block counts the token, and no one gets it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from broker.errors import Refusal
from broker.identity.blocks import BlockKind
from broker.identity.users import User
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.principal import KEY_ISSUER, OWN_ISSUER, Principal, end_user
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
TERMS = SessionTerms("default", "models/m", 7200, 900, 120, {}, slice_is_fixed=True)
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


def block_issuer(issuer: str) -> Block:
    def block(database: Database) -> None:
        SqlBlocks(database).block(BlockKind.ISSUER, issuer, actor="tests")

    return block


REFUSED: dict[str, tuple[Principal, Block]] = {
    **WHO,
    "the own issuer": (ALICE, block_issuer(OWN_ISSUER)),
    "another issuer": (EVE, block_issuer(IDP)),
    "all users of a key": (USER, block_issuer(USER.issuer)),
    "all keys": (USER, block_issuer(KEY_ISSUER)),
}


@pytest.mark.parametrize(("principal", "block"), REFUSED.values(), ids=REFUSED)
def test_token_of_a_blocked_principal_is_not_delivered(
    database: Database, principal: Principal, block: Block
) -> None:
    ledger, reservation = begin(database, principal)
    block(database)
    with pytest.raises(Refusal) as refused:
        ledger.confirm(principal, reservation, TOKEN)
    assert refused.value.code == "account-blocked"
    ledger.void(reservation, refused.value.code)
    usages, _ = ledger.usages(quotas(principal))
    assert (usages[-1].open, usages[-1].used_seconds) == (0, 0), "nothing is charged"


@pytest.mark.parametrize(
    "other",
    [
        block_principal(Principal(IDP, "u-2", "", "default")),
        block_principal(Principal("live-broker:guest", "alice", "", "default")),
        block_issuer(IDP),
        lambda database: SqlUsers(database).block("bob", actor="tests"),
    ],
    ids=["another subject", "the same subject elsewhere", "another issuer", "another user"],
)
def test_block_of_someone_else_does_not_matter(database: Database, other: Block) -> None:
    ledger, reservation = begin(database, ALICE)
    SqlUsers(database).add(User("bob", "hash"), actor="tests")
    other(database)
    ledger.confirm(ALICE, reservation, TOKEN)


def test_block_and_confirmation_at_once_never_miss_each_other(database: Database) -> None:
    """Either the token is not delivered, or the block says how long it lives."""
    ledger, first = begin(database, EVE)
    ledger.void(first, "upstream-error")
    admin = SqlBlocks(database)
    for _ in range(15):
        reservation = ledger.reserve(EVE, TERMS, quotas(EVE))
        start = Barrier(2)

        def confirm(reservation: Reservation = reservation, start: Barrier = start) -> str:
            start.wait(10)
            try:
                ledger.confirm(EVE, reservation, TOKEN)
            except Refusal as refusal:
                return refusal.code
            return "delivered"

        def block(start: Barrier = start) -> datetime | None:
            start.wait(10)
            return admin.block_principal(IDP, "u-1", actor="tests")

        with ThreadPoolExecutor(2) as pool:
            confirmed, until = pool.submit(confirm), pool.submit(block)
        assert confirmed.result() in {"delivered", "account-blocked"}
        if confirmed.result() == "delivered":
            assert until.result() == reservation.expires_at
            ledger.end(EVE, reservation.session_id, quotas(EVE))
        else:
            ledger.void(reservation, "account-blocked")
        admin.lift(BlockKind.PRINCIPAL, IDP, "u-1", actor="tests")
