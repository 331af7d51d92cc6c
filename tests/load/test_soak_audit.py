"""The audit of a soak finds each kind of fault that is planted in an honest ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker.store.database.engine import Database
from broker.store.database.tables import audit, rate_windows, users
from tests.load.soak import secret_sweep
from tests.load.soak.journal import Answer, Journal, Limits
from tests.load.soak.needles import Needles
from tests.load.soak.rows import Rows
from tests.load.soak.run import audit_rows
from tests.support.stores import Stores

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECONDS = 30


def sha(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Planted:
    """Two sessions of one person, each with a token that the client received."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.person = self.journal.principal("live-broker", "alice", Limits(2, (2, 60), 2))
        self.rows = Rows({}, [], {}, {})
        self.first, self.second = self.open("a", 0), self.open("b", 1)

    def open(self, name: str, at_seconds: float, *, delivered: bool = True, intent: str = "") -> Any:
        at = NOON + timedelta(seconds=at_seconds)
        session = SimpleNamespace(
            id=f"ses_{name}", principal_key=self.person, acting_key=None, state="open", opened_at=at,
            client={"version": intent or name}, ends_at=at + timedelta(minutes=2), released_at=None,
            held_until=at + timedelta(seconds=45), heartbeat_at=None,
        )  # fmt: skip
        self.rows.sessions[session.id] = session
        self.rows.of_session[session.id] = []
        row = self.token(session, f"auth_tokens/{name:>032}", at)
        answer = self.answer(row.name, session.id) if delivered else Answer(0, {}, {}, 0, 0)
        self.journal.attempted(intent or name, self.person, answer, keyed=True)
        return session

    def token(self, session: Any, name: str, at: datetime) -> Any:
        ends = at + timedelta(seconds=SECONDS)
        row = SimpleNamespace(
            id=f"tok_{name[-4:]}", session_id=session.id, principal_key=self.person, acting_key=None,
            name=name, state="issued", token_sha256=sha(name), reserved_at=at,
            connect_by=at + timedelta(seconds=15), expires_at=ends, covers_from=at, seconds=SECONDS,
            forgiven=0,
        )  # fmt: skip
        self.rows.tokens.append(row)
        self.rows.of_session[session.id].append(row)
        self.rows.confirmations[row.token_sha256] = [at]
        return row

    def answer(self, token: str, session: str) -> Answer:
        return Answer(200, {"token": token, "session": {"id": session}}, {}, 0, 0)

    def row(self, session: Any) -> Any:
        return self.rows.of_session[session.id][0]

    def found(self) -> list[str]:
        return audit_rows(self.rows, self.journal)


def lost_row(planted: Planted) -> None:
    planted.rows.tokens.remove(planted.row(planted.first))


def no_line_in_the_trail(planted: Planted) -> None:
    del planted.rows.confirmations[planted.row(planted.first).token_sha256]


def doubled_grant(planted: Planted) -> None:
    session = planted.open("c", 50, delivered=False, intent="a")
    planted.rows.sessions[session.id] = session


def granted_to_no_one(planted: Planted) -> None:
    planted.open("c", 100, delivered=False)
    planted.journal.intents["c"].unanswered = 0


def session_of_someone_else(planted: Planted) -> None:
    planted.first.principal_key = "someone else"


def renewal_that_no_one_got(planted: Planted) -> None:
    row = planted.token(planted.first, "auth_tokens/renewal", NOON + timedelta(seconds=29))
    row.covers_from, row.seconds = NOON + timedelta(seconds=30), 29
    row.expires_at = row.covers_from + timedelta(seconds=29)


def charged_twice(planted: Planted) -> None:
    planted.row(planted.first).seconds *= 2


def paid_time_charged_again(planted: Planted) -> None:
    name = "auth_tokens/again"
    row = planted.token(planted.first, name, NOON + timedelta(seconds=10))
    planted.journal.renewed(planted.first.id, planted.person, planted.answer(name, planted.first.id))
    assert row.covers_from < NOON + timedelta(seconds=SECONDS)


def forgiven_beyond_the_limit(planted: Planted) -> None:
    row = planted.row(planted.first)
    row.seconds, row.forgiven, row.expires_at = 0, 130, row.reserved_at + timedelta(seconds=130)


def time_that_is_neither_charged_nor_forgiven(planted: Planted) -> None:
    planted.row(planted.first).seconds -= 10


def void_that_costs(planted: Planted) -> None:
    planted.row(planted.first).state = "void"


def half_done(planted: Planted) -> None:
    planted.row(planted.first).state = "reserved"


def one_place_too_many(planted: Planted) -> None:
    planted.open("c", 40)


def one_request_too_many(planted: Planted) -> None:
    for session in planted.rows.sessions.values():
        session.held_until = session.opened_at + timedelta(seconds=2)
    planted.open("c", 20)


def too_many_minutes(planted: Planted) -> None:
    for number in range(3):
        planted.open(f"c{number}", 100 * (number + 1))


def granted_in_a_suspension(planted: Planted) -> None:
    row, began = planted.row(planted.first), NOON.timestamp()
    planted.journal.suspensions.append((began - 2, began + 2))
    planted.journal.wanted_at[row.token_sha256] = began - 1


PLANTED: dict[Callable[[Planted], None], str] = {
    lost_row: "is not in the ledger",
    no_line_in_the_trail: "0 lines in the audit trail",
    doubled_grant: "with an Idempotency-Key has 2 sessions",
    granted_to_no_one: "no answer was lost",
    session_of_someone_else: "belongs to someone else",
    renewal_that_no_one_got: "renewals that no client got",
    charged_twice: "costs 60 s",
    paid_time_charged_again: "charges time that was paid already",
    forgiven_beyond_the_limit: "was forgiven 130 s",
    time_that_is_neither_charged_nor_forgiven: "20 charged, 0 forgiven",
    void_that_costs: "void token",
    half_done: "its token is reserved",
    one_place_too_many: "had 3 places",
    one_request_too_many: "3 new sessions within 60 s",
    too_many_minutes: "was charged 150 s",
    granted_in_a_suspension: "during a suspension",
}


def test_honest_ledger_has_no_finding() -> None:
    assert Planted().found() == []


@pytest.mark.parametrize(("plant", "sentence"), PLANTED.items(), ids=[one.__name__ for one in PLANTED])
def test_planted_fault_is_found(plant: Callable[[Planted], None], sentence: str) -> None:
    planted = Planted()
    plant(planted)
    assert [text for text in planted.found() if sentence in text] != []


@pytest.mark.parametrize("text", ["Bearer {}", '{{"token":"{}"}}', "a line with {}, cut", "…{}"])
def test_secret_is_found_in_a_text(text: str) -> None:
    needles, secret = Needles(), "auth_tokens/standin-0123456789abcdef0123456789abcdef"
    needles.add(secret)
    assert needles.found_in(text.format(secret))
    assert needles.found_in(text.format(secret[20:]))
    assert needles.found_in(sha(secret)) == []


def test_secrets_are_found_in_logs_and_in_every_kind_of_column(tmp_path: Path, stores: Stores) -> None:
    needles, token, log = Needles(), "auth_tokens/standin-" + 32 * "7", tmp_path / "broker.lines"
    needles.add(token)
    needles.add_phrase("a password")
    log.write_text(
        f'{{"reason": "{token}"}}\n{{"reason": "of a password"}}\nTraceback (most recent call last)\n'
    )
    assert [text.split(" in ")[0] for text in secret_sweep.sweep_logs([log], needles)] == [
        "a secret", "a secret", "a fault of the broker",
    ]  # fmt: skip
    assert not any(token in text for text in secret_sweep.sweep_logs([log], needles))
    database = Database(stores.migrated("sqlite").database_url, pool_size=1)
    now, row = datetime.now(UTC), {"actor": "a", "action": "b", "outcome": "ok"}
    with database.write() as connection:
        connection.execute(audit.insert(), {**row, "at": now, "detail": {"x": [token]}})
        connection.execute(rate_windows.insert(), {"key": "k", "hits": token.encode(), "expires_at": now})
        connection.execute(users.insert(), {
            "username": "a password", "password_hash": "", "plan": "", "generation": "",
            "password_changed_at": now, "created_at": now,
        })  # fmt: skip
    found = set(secret_sweep.sweep_tables(database, needles))
    database.dispose()
    assert found == {
        "a secret in audit.detail", "a secret in rate_windows.hits", "a secret in users.username",
    }  # fmt: skip
