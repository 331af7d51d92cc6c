"""Replay: `POST /token` with an Idempotency-Key, so that a lost response can be had again.

Wraps the opening of a session. The first request with a key opens one, and its steps also keep the record of
the key. Every repeat waits for the first request and gets its response. What a session is and how it is
answered is left to the two callables.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from broker.errors import Code, Refusal
from broker.idempotency.encryption import TokenCipher
from broker.idempotency.key import IdempotencyKey
from broker.idempotency.record import IdempotencyRecord, IdempotencyRecords, InProgress, StoredResponse
from broker.limits.policy import Allowance
from broker.limits.quota import Quotas
from broker.minting.minter import MintedToken
from broker.principal import Principal
from broker.sessions.refusals import recorded_refusals
from broker.sessions.session import Ledger, Reservation, Reservations, SessionTerms

# Within a mint's time, so that one is still possible in what is left of a request's ten seconds.
WAIT_SECONDS = 4.5
_LOOK_SECONDS = 0.05

Request = TypeVar("Request", contravariant=True)
Answer = TypeVar("Answer", covariant=True)


class OpenSession(Protocol[Request, Answer]):
    """Opens a session, and writes its steps to `reservations`."""

    def __call__(
        self,
        principal: Principal,
        request: Request,
        also: Sequence[Allowance] = (),
        reservations: Reservations | None = None,
    ) -> Answer: ...


class AnswerAgain(Protocol[Request, Answer]):
    """Answers for a session that a first request has opened."""

    def __call__(
        self,
        principal: Principal,
        request: Request,
        reservation: Reservation,
        *,
        profile: str,
        model: str,
        read_token: Callable[[], MintedToken],
    ) -> Answer: ...


Q = TypeVar("Q")
A = TypeVar("A")


class Replays(Generic[Q, A]):
    def __init__(
        self,
        *,
        open_session: OpenSession[Q, A],
        answer_again: AnswerAgain[Q, A],
        ledger: Ledger,
        records: IdempotencyRecords,
        cipher: TokenCipher,
        max_waiting: int,
    ) -> None:
        """Each request that waits takes a thread: at most `max_waiting` of this process do."""
        self._open_session = open_session
        self._answer_again = answer_again
        self._ledger = ledger
        self._records = records
        self._cipher = cipher
        self._waiting_places = threading.BoundedSemaphore(max_waiting)

    def open_session(
        self, principal: Principal, request: Q, key: IdempotencyKey, also: Sequence[Allowance] = ()
    ) -> A:
        """The first request with `key` opens a session. A repeat gets its response and is not counted."""

        def attempt() -> A:
            with recorded_refusals(self._ledger, principal, "token"):
                stored = self._records.find(key)
            if stored is None:
                reservations = KeyedReservations(key, self._ledger, self._records, self._cipher)
                try:
                    return self._open_session(principal, request, also, reservations)
                except BaseException:
                    reservations.give_up()
                    raise
            return self._again(principal, request, key, stored)

        try:
            return attempt()
        except InProgress:
            return self._attempt_after_a_wait(attempt)

    def _again(self, principal: Principal, request: Q, key: IdempotencyKey, stored: StoredResponse) -> A:
        return self._answer_again(
            principal,
            request,
            stored.reservation,
            profile=stored.profile,
            model=stored.model,
            read_token=lambda: self._cipher.decrypt(key, stored.encrypted_token),
        )

    def _attempt_after_a_wait(self, attempt: Callable[[], A]) -> A:
        if not self._waiting_places.acquire(blocking=False):
            raise _not_answered_yet()
        try:
            until = time.monotonic() + WAIT_SECONDS
            while time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
                try:
                    return attempt()
                except InProgress:
                    continue
        finally:
            self._waiting_places.release()
        raise _not_answered_yet()


class KeyedReservations(Reservations):
    """The ledger's steps, each with its part of the record in the same transaction."""

    def __init__(
        self, key: IdempotencyKey, ledger: Ledger, records: IdempotencyRecords, cipher: TokenCipher
    ) -> None:
        self._key = key
        self._ledger = ledger
        self._records = records
        self._cipher = cipher
        self._record: IdempotencyRecord | None = None

    def begin(self) -> bool:
        """Raises `InProgress`, and refuses `idempotency-conflict` and `session-ended`."""
        self._record = self._records.begin(self._key)
        return self._record.already_counted

    def reserve(self, principal: Principal, terms: SessionTerms, quotas: Quotas) -> Reservation:
        with self._ledger.all_or_nothing():
            reservation = self._ledger.reserve(principal, terms, quotas)
            self._records.bind(self._held, reservation)
        return reservation

    def confirm(
        self, principal: Principal, reservation: Reservation, token: MintedToken, mint_ms: int | None = None
    ) -> None:
        encrypted_token = self._cipher.encrypt(self._key, token)
        with self._ledger.all_or_nothing():  # the record comes first in the order of locks
            self._records.keep(self._held, encrypted_token)
            self._ledger.confirm(principal, reservation, token, mint_ms)

    def void(self, reservation: Reservation, refusal_code: Code) -> None:
        with self._ledger.all_or_nothing():
            self._free()
            self._ledger.void(reservation, refusal_code)

    def refused(self, principal: Principal, action: str, code: Code, session_id: str | None = None) -> None:
        self._free()
        self._ledger.refused(principal, action, code, session_id)

    def give_up(self) -> None:
        """Release the key of a request that ended without a response, so that a retry need not wait for it.

        A request still holds its key after a store fault, because these are not recorded. If the store does
        not answer, a retry takes the key over later.
        """
        with suppress(Refusal):
            self._free()

    @property
    def _held(self) -> IdempotencyRecord:
        assert self._record is not None, "begin comes first"
        return self._record

    def _free(self) -> None:
        record, self._record = self._record, None  # once: a store that hangs must not delay it twice
        if record is not None:
            self._records.free(record)


def _not_answered_yet() -> Refusal:
    return Refusal("busy", "The first request with this Idempotency-Key is not answered yet.")
