"""Exactly one of several requests with one Idempotency-Key is the first one, on each database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import Refusal
from broker.idempotency.encryption import TokenCipher
from broker.idempotency.key import IdempotencyKey
from broker.idempotency.record import InProgress
from broker.idempotency.replay import KeyedReservations
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.sessions.session import Reservation, SessionTerms
from broker.store.ledger.idempotency import SqlIdempotencyRecords
from broker.store.ledger.ledger import SqlLedger
from tests.store.conftest import MakeDatabase
from tests.support.servers import own_principal

ALICE = own_principal("alice")
TERMS = SessionTerms("default", "models/m", 1800, 900, 120, {})
ROOMY = Quotas((Quota(ALICE.key, 1000, 10000),), 1000)
ONCE, OTHER_BODY = IdempotencyKey("k", "b1", "secret-1"), IdempotencyKey("k", "b2", "secret-1")


TOKEN = MintedToken("auth_tokens/canary")
CIPHER = TokenCipher([b"secret" * 6])


class Book:
    """Records of idempotency keys beside the ledger, on a clock that the test advances."""

    def __init__(self, make_database: MakeDatabase) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.database = make_database(clock=lambda: self.now)
        self.records = SqlIdempotencyRecords(self.database)
        self.ledger = SqlLedger(self.database)

    def steps(self, key: IdempotencyKey = ONCE) -> KeyedReservations:
        return KeyedReservations(key, self.ledger, self.records, CIPHER)

    def reserved(self) -> tuple[KeyedReservations, Reservation]:
        """A first request that has reserved its token."""
        steps = self.steps()
        steps.begin()
        return steps, steps.reserve(ALICE, TERMS, ROOMY)

    def answered(self) -> Reservation:
        """A first request that has its token."""
        steps, reservation = self.reserved()
        steps.confirm(ALICE, reservation, TOKEN, 50)
        return reservation

    def places(self) -> int:
        (usage,), _ = self.ledger.usages(ROOMY)
        return usage.open


@pytest.fixture
def book(make_database: MakeDatabase) -> Book:
    return Book(make_database)


def test_repeat_gets_the_response_of_the_first_request(book: Book) -> None:
    assert book.records.find(ONCE) is None
    steps, reservation = book.reserved()
    with pytest.raises(InProgress):
        book.records.find(ONCE)
    with pytest.raises(InProgress):
        book.records.begin(ONCE)
    steps.confirm(ALICE, reservation, TOKEN, 50)
    book.now += timedelta(seconds=59)
    stored = book.records.find(ONCE)
    assert stored is not None
    assert CIPHER.decrypt(ONCE, stored.encrypted_token) == TOKEN
    assert (stored.profile, stored.model) == ("default", "models/m")
    assert (stored.reservation.session_id, stored.reservation.expires_at) == (
        reservation.session_id,
        reservation.expires_at,
    )
    assert stored.reservation.reserved_at == book.now
    assert book.places() == 1


def test_other_body_is_a_conflict_during_and_after_the_first_request(book: Book) -> None:
    steps = book.steps()
    steps.begin()
    for ask in (book.records.find, book.records.begin):
        with pytest.raises(Refusal) as refused:
            ask(OTHER_BODY)
        assert refused.value.code == "idempotency-conflict"
    steps.confirm(ALICE, steps.reserve(ALICE, TERMS, ROOMY), TOKEN, 50)
    with pytest.raises(Refusal):
        book.records.find(OTHER_BODY)


def test_key_is_new_after_a_minute(book: Book) -> None:
    book.answered()
    book.now += timedelta(seconds=60)
    assert book.records.find(ONCE) is None
    assert not book.records.begin(OTHER_BODY).already_counted


def test_failed_mint_frees_the_key(book: Book) -> None:
    steps, reservation = book.reserved()
    steps.void(reservation, "upstream-error")
    assert book.records.find(OTHER_BODY) is None
    assert not book.records.begin(OTHER_BODY).already_counted


def test_repeat_for_an_ended_session_is_refused(book: Book) -> None:
    reservation = book.answered()
    book.ledger.end(ALICE, reservation.session_id, ROOMY)
    with pytest.raises(Refusal) as refused:
        book.records.find(ONCE)
    assert refused.value.code == "session-ended"


def test_repeat_replaces_a_request_whose_worker_died(book: Book) -> None:
    """Its worker was killed after the reservation. The reservation is voided; the request stays counted."""
    dead_steps, dead = book.reserved()
    book.now += timedelta(seconds=14)
    with pytest.raises(InProgress):
        book.records.begin(ONCE)
    book.now += timedelta(seconds=1)
    assert book.records.find(ONCE) is None
    steps = book.steps()
    assert steps.begin(), "it was counted already"
    assert book.places() == 0
    reservation = steps.reserve(ALICE, TERMS, ROOMY)
    with pytest.raises(Refusal):
        dead_steps.confirm(ALICE, dead, MintedToken("auth_tokens/too-late"), 50)
    dead_steps.void(dead, "upstream-timeout")
    steps.confirm(ALICE, reservation, TOKEN, 50)
    stored = book.records.find(ONCE)
    assert stored is not None
    assert stored.reservation.session_id == reservation.session_id
    assert book.places() == 1


def test_confirmation_without_its_record_changes_nothing(book: Book) -> None:
    """The session is not open and no token is issued: the confirmation and the record are one transaction."""
    steps, reservation = book.reserved()
    with book.database.write() as connection:
        connection.exec_driver_sql("UPDATE idempotency SET claim = 'another'")
    with pytest.raises(Refusal) as refused:
        steps.confirm(ALICE, reservation, TOKEN, 50)
    assert refused.value.code == "upstream-timeout"
    with book.database.read() as connection:
        states = [
            connection.exec_driver_sql(f"SELECT state FROM {table}").scalar_one()
            for table in ("sessions", "tokens")
        ]
    assert states == ["reserved", "reserved"]


def test_exactly_one_of_many_concurrent_requests_is_the_first(book: Book) -> None:
    def is_first(_: int) -> bool:
        try:
            book.records.begin(ONCE)
        except InProgress:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(is_first, range(16))) == 1


def test_expired_records_are_deleted(book: Book) -> None:
    for number in range(30):
        book.records.begin(IdempotencyKey(f"k{number}", "b", "s"))
        book.now += timedelta(seconds=30)
    with book.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar_one() <= 4


def test_stored_token_decrypts_with_its_key_and_this_brokers_secret_only() -> None:
    encrypted = TokenCipher([b"new" * 11, b"old" * 11]).encrypt(ONCE, TOKEN)
    assert b"canary" not in encrypted
    assert TokenCipher([b"newer" * 7, b"new" * 11]).decrypt(ONCE, encrypted) == TOKEN, (
        "the secret was rotated"
    )
    for cipher, key in (
        (TokenCipher([b"other" * 7]), ONCE),
        (TokenCipher([b"new" * 11]), IdempotencyKey("k", "b1", "secret-2")),
        (TokenCipher([b"new" * 11]), IdempotencyKey("k2", "b1", "secret-1")),
    ):
        with pytest.raises(Refusal):
            cipher.decrypt(key, encrypted)
