"""Which of several requests with one Idempotency-Key is the first one, on each database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import Refusal
from broker.idempotency.encryption import TokenCipher
from broker.idempotency.record import Claim, IdempotencyKey, InProgress
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.sessions.session import Reservation, SessionTerms
from broker.store.ledger.idempotency import SqlClaims
from broker.store.ledger.ledger import SqlLedger
from tests.store.conftest import MakeDatabase
from tests.support.servers import own_principal

ALICE = own_principal("alice")
TERMS = SessionTerms("default", "models/m", 1800, 900, 120, {})
ROOMY = Quotas((Quota(ALICE.key, 1000, 10000),), 1000)
ONCE, OTHER_BODY = IdempotencyKey("k", "b1", "secret-1"), IdempotencyKey("k", "b2", "secret-1")


class Book:
    """Claims and the ledger that settles them, on a clock that the test moves."""

    def __init__(self, make_database: MakeDatabase) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.database = make_database(clock=lambda: self.now)
        self.claims = SqlClaims(self.database)
        self.ledger = SqlLedger(self.database)

    def reserve(self, claim: Claim) -> Reservation:
        return self.ledger.reserve(ALICE, TERMS, ROOMY, claim)

    def places(self) -> int:
        (usage,), _ = self.ledger.usages(ROOMY)
        return usage.open


@pytest.fixture
def book(make_database: MakeDatabase) -> Book:
    return Book(make_database)


def test_a_repeat_gets_what_the_first_one_got(book: Book) -> None:
    assert book.claims.recall(ONCE) is None
    reservation = book.reserve(book.claims.claim(ONCE))
    with pytest.raises(InProgress):
        book.claims.recall(ONCE)
    with pytest.raises(InProgress):
        book.claims.claim(ONCE)
    book.ledger.confirm(ALICE, reservation, "a" * 64, 50, b"sealed")
    book.now += timedelta(seconds=59)
    delivered = book.claims.recall(ONCE)
    assert delivered is not None
    assert (delivered.sealed, delivered.profile, delivered.model) == (b"sealed", "default", "models/m")
    assert (delivered.reservation.session_id, delivered.reservation.expires_at) == (
        reservation.session_id,
        reservation.expires_at,
    )
    assert delivered.reservation.reserved_at == book.now
    assert book.places() == 1


def test_another_body_is_a_conflict_whatever_became_of_the_first(book: Book) -> None:
    claim = book.claims.claim(ONCE)
    for ask in (book.claims.recall, book.claims.claim):
        with pytest.raises(Refusal) as refused:
            ask(OTHER_BODY)
        assert refused.value.code == "idempotency-conflict"
    book.ledger.confirm(ALICE, book.reserve(claim), "a" * 64, 50, b"sealed")
    with pytest.raises(Refusal):
        book.claims.recall(OTHER_BODY)


def test_after_a_minute_the_key_is_a_new_one(book: Book) -> None:
    book.ledger.confirm(ALICE, book.reserve(book.claims.claim(ONCE)), "a" * 64, 50, b"sealed")
    book.now += timedelta(seconds=60)
    assert book.claims.recall(ONCE) is None
    assert not book.claims.claim(OTHER_BODY).paid


def test_a_failed_mint_frees_the_key(book: Book) -> None:
    claim = book.claims.claim(ONCE)
    book.ledger.void(ALICE, book.reserve(claim), "upstream-error")
    assert book.claims.recall(OTHER_BODY) is None
    assert book.claims.claim(OTHER_BODY).id != claim.id


def test_a_session_that_was_ended_is_not_given_again(book: Book) -> None:
    reservation = book.reserve(book.claims.claim(ONCE))
    book.ledger.confirm(ALICE, reservation, "a" * 64, 50, b"sealed")
    book.ledger.end(ALICE, reservation.session_id)
    with pytest.raises(Refusal) as refused:
        book.claims.recall(ONCE)
    assert refused.value.code == "session-ended"


def test_a_repeat_takes_the_place_of_a_request_that_died(book: Book) -> None:
    """Its worker was killed after the reservation: that is taken back, and was counted already."""
    dead = book.reserve(book.claims.claim(ONCE))
    book.now += timedelta(seconds=14)
    with pytest.raises(InProgress):
        book.claims.claim(ONCE)
    book.now += timedelta(seconds=1)
    assert book.claims.recall(ONCE) is None
    claim = book.claims.claim(ONCE)
    assert claim.paid
    assert book.places() == 0
    reservation = book.reserve(claim)
    with pytest.raises(Refusal):
        book.ledger.confirm(ALICE, dead, "b" * 64, 50, b"too late")
    book.ledger.void(ALICE, dead, "upstream-timeout")
    book.ledger.confirm(ALICE, reservation, "a" * 64, 50, b"sealed")
    delivered = book.claims.recall(ONCE)
    assert delivered is not None
    assert delivered.reservation.session_id == reservation.session_id
    assert book.places() == 1


def test_one_of_many_at_once_is_the_first(book: Book) -> None:
    def claim(_: int) -> bool:
        try:
            book.claims.claim(ONCE)
        except InProgress:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(claim, range(16))) == 1


def test_what_is_forgotten_is_taken_out(book: Book) -> None:
    for number in range(30):
        book.claims.claim(IdempotencyKey(f"k{number}", "b", "s"))
        book.now += timedelta(seconds=30)
    with book.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar_one() <= 4


def test_a_sealed_token_opens_with_its_key_and_this_brokers_secret_only() -> None:
    token = MintedToken("auth_tokens/canary")
    sealed = TokenCipher([b"new" * 11, b"old" * 11]).close(ONCE, token)
    assert b"canary" not in sealed
    assert TokenCipher([b"newer" * 7, b"new" * 11]).open(ONCE, sealed) == token, "the secret was rotated"
    for seal, once in (
        (TokenCipher([b"other" * 7]), ONCE),
        (TokenCipher([b"new" * 11]), IdempotencyKey("k", "b1", "secret-2")),
        (TokenCipher([b"new" * 11]), IdempotencyKey("k2", "b1", "secret-1")),
    ):
        with pytest.raises(Refusal):
            seal.open(once, sealed)
