"""The states of sessions and tokens, in the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import event, select

from broker.errors import Refusal
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.sessions.session import Reservation, Session, SessionState, SessionTerms
from broker.store.database.tables import audit, tokens
from broker.store.ledger.ledger import SqlLedger
from broker.telemetry import repeats
from tests.store.conftest import MakeDatabase
from tests.support.servers import own_principal

ALICE, BOB = own_principal("alice"), own_principal("bob")
TERMS = SessionTerms(
    "default", "models/m", session_seconds=1800, slice_seconds=900, connect_within_seconds=120, client={}
)
ROOMY = Quotas((Quota(ALICE.key, 1000, 10000),), 1000)
START = datetime(2026, 1, 1, tzinfo=UTC)


class Book:
    """A ledger whose clock the test advances."""

    def __init__(self, make_database: MakeDatabase) -> None:
        self.now = START
        self.database = make_database(clock=lambda: self.now)
        self.ledger = SqlLedger(self.database)

    def opened(self) -> Reservation:
        reservation = self.ledger.reserve(ALICE, TERMS, ROOMY)
        self.ledger.confirm(ALICE, reservation, MintedToken("a"))
        return reservation

    def end(self, reservation: Reservation) -> Session:
        return self.ledger.end(ALICE, reservation.session_id, ROOMY)

    def token_states(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.execute(select(tokens.c.state).order_by(tokens.c.reserved_at)).scalars())


@pytest.fixture
def book(make_database: MakeDatabase) -> Book:
    return Book(make_database)


def refusal(call: object) -> str:
    with pytest.raises(Refusal) as refused:
        call()  # type: ignore[operator]
    return refused.value.code


def test_reserve_and_confirm_open_a_session(book: Book) -> None:
    reservation = book.opened()
    session = book.ledger.find(ALICE, reservation.session_id)
    assert session.state is SessionState.OPEN
    assert reservation.expires_at == START + timedelta(seconds=900)
    assert reservation.connect_by == START + timedelta(seconds=120)
    assert session.ends_at == START + timedelta(seconds=1800)
    assert session.token_expires_at == reservation.expires_at


def test_void_reservation_leaves_no_session(book: Book) -> None:
    reservation = book.ledger.reserve(ALICE, TERMS, ROOMY)
    book.ledger.void(reservation, "upstream-error")
    assert refusal(lambda: book.ledger.find(ALICE, reservation.session_id)) == "session-unknown"
    assert book.token_states() == ["void"]


def test_token_confirmed_after_the_void_is_not_delivered(book: Book) -> None:
    reservation = book.ledger.reserve(ALICE, TERMS, ROOMY)
    book.ledger.void(reservation, "upstream-timeout")
    assert refusal(lambda: book.ledger.confirm(ALICE, reservation, MintedToken("a"))) == "session-unknown"


def test_session_that_ends_during_the_mint_gets_no_token(book: Book) -> None:
    reservation = book.opened()
    following = book.ledger.reserve_next(ALICE, reservation.session_id, 900, 120, ROOMY)
    book.end(reservation)
    assert refusal(lambda: book.ledger.confirm(ALICE, following, MintedToken("b"))) == "session-ended"
    book.ledger.void(following, "session-ended")
    assert book.token_states() == ["issued", "void"]


def test_last_token_ends_with_the_session(book: Book) -> None:
    reservation = book.opened()
    book.now = START + timedelta(seconds=1500)
    following = book.ledger.reserve_next(ALICE, reservation.session_id, 900, 120, ROOMY)
    assert following.expires_at == reservation.ends_at
    book.now = START + timedelta(seconds=1795)
    assert (
        refusal(lambda: book.ledger.reserve_next(ALICE, reservation.session_id, 900, 120, ROOMY))
        == "session-ended"
    )


def test_session_past_its_end_is_over_whatever_its_row_says(book: Book) -> None:
    reservation = book.opened()
    assert book.ledger.heartbeat(ALICE, reservation.session_id).state is SessionState.OPEN
    book.now = reservation.ends_at
    assert book.ledger.heartbeat(ALICE, reservation.session_id).state is SessionState.ENDED
    assert (
        refusal(lambda: book.ledger.reserve_next(ALICE, reservation.session_id, 900, 120, ROOMY))
        == "session-ended"
    )


def test_second_end_changes_nothing(book: Book) -> None:
    reservation = book.opened()
    assert book.end(reservation) == book.end(reservation)


def test_session_of_another_principal_is_unknown(book: Book) -> None:
    reservation = book.opened()
    for call in (book.ledger.find, book.ledger.heartbeat, partial(book.ledger.end, quotas=ROOMY)):
        assert refusal(lambda call=call: call(BOB, reservation.session_id)) == "session-unknown"


def test_heartbeats_write_once_in_ten_seconds(book: Book) -> None:
    """Also those of a session that is over: a client could keep the store busy with them."""
    running, ended, expired = book.opened(), book.opened(), book.opened()
    book.end(ended)
    updates: list[str] = []

    @event.listens_for(book.database.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE"):
            updates.append(statement)

    def beat(reservation: Reservation, seconds: float = 0.1) -> int:
        updates.clear()
        for _ in range(300):
            book.ledger.heartbeat(ALICE, reservation.session_id)
            book.now += timedelta(seconds=seconds)
        return len(updates)

    assert 3 <= beat(running) <= 5, "and the first one lengthens its place"
    assert 3 <= beat(ended) <= 4
    book.now = expired.ends_at + timedelta(seconds=1)
    assert 3 <= beat(expired) <= 4


def test_repeated_refusals_share_a_row_with_the_time_of_the_last(book: Book) -> None:
    for _ in range(7):
        book.ledger.refused(ALICE, "token", "rate-limited")
    book.ledger.refused(BOB, "token", "rate-limited")
    book.ledger.refused(ALICE, "token", "profile-unknown")
    reservation = book.opened()
    for _ in range(2):
        book.ledger.refused(ALICE, "token", "upstream-error", reservation.session_id)
    book.now += timedelta(minutes=2)
    repeats.write_all()
    with book.database.read() as connection:
        rows = connection.execute(
            select(audit).where(audit.c.outcome.not_in(["ok", "reserved"])).order_by(audit.c.id)
        ).all()
    assert [(row.actor.partition(":")[2], row.outcome, row.times) for row in rows] == [
        ("alice", "rate-limited", 1),
        ("bob", "rate-limited", 1),
        ("alice", "profile-unknown", 1),
        ("alice", "upstream-error", 1),
        ("alice", "upstream-error", 1),
        ("alice", "rate-limited", 6),
    ]
    assert START < rows[-1].at <= book.now
