"""Sessions as a state machine: in any order of events, nothing is granted twice or lost.

A model in plain Python counts the places and seconds that are taken. The ledger on a real SQLite file must
agree after each step. The model follows the text in `broker/sessions/session.py` and shares no code with the
store.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from broker.errors import Refusal
from broker.idempotency.encryption import TokenCipher
from broker.idempotency.key import IdempotencyKey
from broker.idempotency.record import InProgress, StoredResponse
from broker.idempotency.replay import KeyedReservations
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.sessions.session import Reservation, Reservations, SessionState, SessionTerms
from broker.store.database import migrate
from broker.store.database.engine import Database
from broker.store.ledger.idempotency import SqlIdempotencyRecords
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.unused_tokens import AT_ONCE, MOST_AT_ONCE, MOST_UNUSED
from tests.support.counts import wrong_counts
from tests.support.servers import own_principal

SESSIONS, MINUTES, PROJECT = 2, 70, 3
# Alice can be forgiven as many minutes as she may talk; bob fewer than two tokens.
FORGIVEN = (None, 25)
# Two of the project's three places are kept for alice's plan.
PLANS, RESERVED = ("gold", "default"), {"gold": 2}
REMEMBERED, GIVEN_UP = timedelta(seconds=60), timedelta(seconds=15)
SLICE, JOIN, GRACE = timedelta(seconds=900), timedelta(seconds=120), timedelta(seconds=30)
TERMS = SessionTerms("default", "models/m", 7200, 900, 120, {})
PEOPLE = [own_principal("alice"), own_principal("bob")]
HOUR = timedelta(hours=1)
TOKEN, CIPHER = MintedToken("auth_tokens/canary"), TokenCipher([b"secret" * 6])


@dataclass
class Token:
    reservation: Reservation
    covers_from: datetime
    seconds: int
    state: str = "reserved"
    once: tuple[int, str] | None = None
    """The caller, and its Idempotency-Key."""
    steps: Reservations | None = None
    """The object that this request writes to."""

    @property
    def life(self) -> int:
        return math.ceil((self.reservation.expires_at - self.reservation.reserved_at).total_seconds())

    def could_connect(self, now: datetime) -> bool:
        return self.state != "void" and self.reservation.connect_by > now


@dataclass
class Modelled:
    """One session, as the documentation describes it."""

    owner: int
    tokens: list[Token]
    ends_at: datetime
    held_until: datetime
    opened_at: datetime
    state: str = "reserved"
    beats: bool = False

    def live(self, now: datetime) -> list[Token]:
        return [
            token for token in self.tokens if token.state == "issued" and token.reservation.expires_at > now
        ]


@cache
def template() -> Path:
    """An empty database with the schema, to copy: migrating takes longer than a whole run."""
    path = Path(tempfile.mkdtemp()) / "template.sqlite3"
    database = Database(f"sqlite:///{path}")
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    return path


T = TypeVar("T")


def outcome(call: Callable[[], T]) -> tuple[T | None, str]:
    try:
        return call(), "ok"
    except Refusal as refusal:
        return None, refusal.code
    except InProgress:
        return None, "in progress"


class Sessions(RuleBasedStateMachine):
    pending = Bundle("pending")
    opened = Bundle("opened")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.now = datetime(2026, 1, 1, 21, tzinfo=UTC)
        path = Path(self.folder.name) / "sessions.sqlite3"
        shutil.copy(template(), path)
        self.database = Database(f"sqlite:///{path}", clock=lambda: self.now)
        self.ledger = SqlLedger(self.database)
        self.records = SqlIdempotencyRecords(self.database)
        self.sessions: list[Modelled] = []
        self.first_ones: dict[tuple[int, str], tuple[datetime, Modelled, Token]] = {}

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.dispose()
            self.folder.cleanup()

    def quotas(self, who: int) -> Quotas:
        quota = Quota(PEOPLE[who].key, SESSIONS, MINUTES, None, FORGIVEN[who])
        return Quotas((quota,), PROJECT, PLANS[who], RESERVED)

    # The model.

    def places(self, who: int | None = None) -> int:
        mine = [one for one in self.sessions if who is None or one.owner == who]
        return sum(one.held_until > self.now for one in mine)

    def is_full(self, who: int) -> bool:
        """Unused places of alice's plan are not free for bob."""
        kept = 0 if who == 0 else max(0, RESERVED["gold"] - self.places(0))
        return self.places() + kept >= PROJECT

    def seconds(self, who: int) -> int:
        day = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        return sum(
            token.seconds
            for one in self.sessions
            if one.owner == who
            for token in one.tokens
            if token.reservation.reserved_at >= day
            and token.state != "void"
            and (token.state == "issued" or token.reservation.connect_by + GRACE > self.now)
        )

    def forgiven(self, who: int, since: datetime | None = None) -> int:
        """Seconds of tokens since the beginning of that day that could be used and are not charged."""
        day = min(self.now, since or self.now).replace(hour=0, minute=0, second=0, microsecond=0)
        return sum(
            token.life - token.seconds
            for one in self.sessions
            if one.owner == who
            for token in one.tokens
            if token.reservation.reserved_at >= day
            and token.state != "void"
            and (token.state == "issued" or token.reservation.connect_by + GRACE > self.now)
        )

    def usable(self, who: int) -> int:
        """Seconds that a caller who lies about every end can talk with the tokens of today."""
        day = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        return sum(
            token.life
            for one in self.sessions
            if one.owner == who
            for token in one.tokens
            if token.state == "issued" and token.reservation.reserved_at >= day
        )

    def left(self, who: int, since: datetime | None = None) -> int:
        minutes = FORGIVEN[who]
        return max(0, (MINUTES if minutes is None else minutes) * 60 - self.forgiven(who, since))

    def length(self, who: int, overlap: float = 0) -> int:
        """How long a token may be by what has been forgiven today."""
        full, left, most = 900, self.left(who), (FORGIVEN[who] or MINUTES) * 60
        share = 1 if self.forgiven(who) <= full else left / most
        return min(math.ceil(full * share**3), int(left - overlap))

    # The steps.

    @rule(target=pending, who=st.sampled_from([0, 1]))
    def reserve(self, who: int) -> object:
        return self.first(who, None, self.ledger)

    @rule(target=pending, who=st.sampled_from([0, 1]), key=st.sampled_from(["k1", "k2"]))
    def reserve_once(self, who: int, key: str) -> object:
        """Like the wrapper: find the response of the first request, or become the first."""
        expected = self.recalled(who, key)
        once = IdempotencyKey(PEOPLE[who].key[:20] + key, "body", key)
        delivered, result = outcome(lambda: self.records.find(once))
        assert result == (expected if isinstance(expected, str) else "ok")
        if isinstance(expected, Modelled):
            assert isinstance(delivered, StoredResponse)
            assert delivered.reservation.session_id == expected.tokens[0].reservation.session_id
            return multiple()
        if result != "ok":
            return multiple()
        assert delivered is None
        steps = KeyedReservations(once, self.ledger, self.records, CIPHER)
        already_counted = steps.begin()
        died = self.first_ones.pop((who, key), None)
        assert already_counted == (died is not None and self.now < died[0] + REMEMBERED)
        if died is not None and already_counted:
            died[1].state, died[1].held_until, died[2].state = "void", self.now, "void"
        self.first_ones = {k: v for k, v in self.first_ones.items() if v[0] + REMEMBERED >= self.now}
        return self.first(who, key, steps)

    def recalled(self, who: int, key: str) -> Modelled | str | None:
        at, one, token = self.first_ones.get((who, key), (self.now - HOUR, None, None))
        if one is None or token is None or self.now >= at + REMEMBERED:
            return None
        if token.state == "issued":
            return one if one.state == "open" and one.ends_at > self.now else "session-ended"
        return "in progress" if self.now < at + GIVEN_UP else None

    def first(self, who: int, key: str | None, steps: Reservations) -> object:
        left = MINUTES * 60 - self.seconds(who)
        expected = "ok"
        if self.places(who) >= SESSIONS:
            expected = "too-many-sessions"
        elif left < 10:
            expected = "minutes-exhausted"
        elif self.is_full(who):
            expected = "project-capacity"
        reservation, result = outcome(lambda: steps.reserve(PEOPLE[who], TERMS, self.quotas(who)))
        assert result == expected
        if reservation is None:
            steps.refused(PEOPLE[who], "token", "too-many-sessions")
            return multiple()
        length = min(900, max(30, self.length(who)), left)
        assert reservation.expires_at == self.now + timedelta(seconds=length)
        token = Token(reservation, self.now, math.ceil((reservation.expires_at - self.now).total_seconds()))
        one = Modelled(who, [token], reservation.ends_at, reservation.connect_by + GRACE, self.now)
        self.sessions.append(one)
        token.steps = steps
        if key is not None:
            token.once = (who, key)
            self.first_ones[token.once] = (self.now, one, token)
        return (one, token)

    def has_enough_tokens(self, one: Modelled) -> bool:
        unused = [token.reservation for token in one.tokens if token.could_connect(self.now)]
        recent = [one for one in unused if one.reserved_at > self.now - AT_ONCE]
        return len(unused) >= MOST_UNUSED or len(recent) >= MOST_AT_ONCE

    @rule(target=pending, one=opened)
    def renew(self, one: Modelled) -> object:
        live = one.live(self.now)
        issued = [token.reservation.expires_at for token in one.tokens if token.state == "issued"]
        paid = max([self.now, *issued]) if live else self.now
        overlap = (paid - self.now).total_seconds()
        age = int((self.now - one.opened_at).total_seconds())
        length = min(900, max(60, age, self.length(one.owner, overlap)))
        if min(overlap, length) > self.left(one.owner):
            paid = self.now
        left = timedelta(seconds=MINUTES * 60 - self.seconds(one.owner))
        kept = one.held_until > self.now
        until = min(self.now + timedelta(seconds=length), one.ends_at, paid + left)
        expected = "ok"
        if one.state != "open" or one.ends_at - self.now < timedelta(seconds=10):
            expected = "session-ended"
        elif self.has_enough_tokens(one):
            expected = "rate-limited"
        elif not kept and self.places(one.owner) >= SESSIONS:
            expected = "too-many-sessions"
        elif until - self.now < timedelta(seconds=10):
            expected = "minutes-exhausted"
        elif not kept and self.is_full(one.owner):
            expected = "project-capacity"
        session_id = one.tokens[0].reservation.session_id
        reservation, result = outcome(
            lambda: self.ledger.reserve_next(PEOPLE[one.owner], session_id, 900, 120, self.quotas(one.owner))
        )
        assert result == expected
        if reservation is None:
            return multiple()
        assert reservation.expires_at == until
        token = Token(reservation, paid, max(0, math.ceil((until - paid).total_seconds())))
        one.tokens.append(token)
        one.held_until = max(one.held_until, reservation.connect_by + GRACE)
        return (one, token)

    @rule(target=opened, ask=consumes(pending))
    def confirm(self, ask: tuple[Modelled, Token]) -> object:
        one, token = ask
        first = token is one.tokens[0]
        good = one.state == ("reserved" if first else "open") and self.now < token.reservation.connect_by
        good = good and (token.once is None or self.is_first_one(token))
        try:
            (token.steps or self.ledger).confirm(PEOPLE[one.owner], token.reservation, TOKEN, 50)
        except Refusal:
            assert not good
            self.fail(one, token)
            return multiple()
        assert good
        token.state, one.state = "issued", "open"
        if one.beats and one.held_until > self.now:
            one.held_until = max(one.held_until, token.reservation.expires_at)
        return one

    @rule(ask=consumes(pending))
    def void(self, ask: tuple[Modelled, Token]) -> None:
        self.fail(*ask)

    @rule(ask=consumes(pending))
    def crash(self, ask: tuple[Modelled, Token]) -> None:
        """No one ever confirms or voids it: it frees itself with time."""

    def fail(self, one: Modelled, token: Token) -> None:
        (token.steps or self.ledger).void(token.reservation, "upstream-error")
        token.state = "void"
        if token.once is not None and self.is_first_one(token):
            del self.first_ones[token.once]
        if token is one.tokens[0]:
            one.state, one.held_until = "void", self.now
            return
        issued = [other.reservation for other in one.tokens if other.state == "issued"]
        newest = max(
            reservation.expires_at if one.beats else reservation.connect_by + GRACE for reservation in issued
        )
        one.held_until = min(one.held_until, newest)

    def is_first_one(self, token: Token) -> bool:
        held = self.first_ones.get(token.once) if token.once else None
        return held is not None and held[2] is token

    @rule(one=opened)
    def heartbeat(self, one: Modelled) -> None:
        result = self.ledger.heartbeat(PEOPLE[one.owner], one.tokens[0].reservation.session_id)
        one.beats = True
        live = one.live(self.now)
        if one.state == "open" and live:
            if one.held_until > self.now:
                newest = max(token.reservation.expires_at for token in live)
                one.held_until = max(one.held_until, newest)
            else:
                one.state = "ended"
        over = one.state != "open" or one.ends_at <= self.now
        assert result.state is (SessionState.ENDED if over else SessionState.OPEN)

    @rule(one=opened)
    def end(self, one: Modelled) -> None:
        live = one.live(self.now)
        if one.state == "open" and live:
            rest = {}
            for token in live:
                talked = max(0, math.ceil((self.now - token.covers_from).total_seconds()))
                rest[id(token)] = token.seconds - min(token.seconds, talked)
            since = min(token.reservation.reserved_at for token in live)
            if sum(rest.values()) <= self.left(one.owner, since):
                for token in live:
                    token.seconds -= rest[id(token)]
                one.held_until = self.now
            else:
                one.held_until = min(one.held_until, max(token.reservation.expires_at for token in live))
        elif one.state == "open":
            one.held_until = min(one.held_until, self.now)
        one.state = "ended"
        session_id = one.tokens[0].reservation.session_id
        result = self.ledger.end(PEOPLE[one.owner], session_id, self.quotas(one.owner))
        assert result.state is SessionState.ENDED

    @rule(seconds=st.sampled_from([1, 14, 30, 60, 119, 149, 151, 600, 899, 3000, 7200]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # The invariants.

    @invariant()
    def the_ledger_agrees_with_the_model(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for who in (0, 1):
            (usage,), full = self.ledger.usages(self.quotas(who))
            assert usage.open == self.places(who) <= SESSIONS
            assert usage.used_seconds == self.seconds(who) <= MINUTES * 60
            assert usage.forgiven_seconds == self.forgiven(who)
            assert self.usable(who) <= (MINUTES + (FORGIVEN[who] or MINUTES)) * 60
            assert full == self.is_full(who)
        assert wrong_counts(self.database) == []
        assert self.places() <= PROJECT

    @invariant()
    def no_token_outlives_its_session(self) -> None:
        for one in getattr(self, "sessions", []):
            assert all(token.reservation.expires_at <= one.ends_at for token in one.tokens)


Sessions.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestSessions = Sessions.TestCase
