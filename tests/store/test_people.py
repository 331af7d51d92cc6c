"""Users, blocks, sign-ins and service keys, on each database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from broker.errors import Refusal
from broker.identity.bearer import Verified
from broker.identity.blocks import Admission, BlockKind
from broker.identity.service_keys import ServiceKey
from broker.identity.users import User
from broker.principal import Principal
from broker.store.accounts.blocks import SqlBlocks
from broker.store.accounts.principals import ensure_principal
from broker.store.accounts.service_keys import KeyExists, SqlServiceKeys
from broker.store.accounts.sign_ins import SqlSignIns
from broker.store.accounts.standing import SqlStanding
from broker.store.accounts.users import SqlUsers, UserExists, UserUnknown
from broker.store.audit import AuditFilter, AuditLog, RefusalLog
from broker.store.database.engine import Database
from broker.store.database.tables import audit
from broker.store.reporting.people import SqlPeople
from tests.store.conftest import MakeDatabase

# Not only ASCII, and as long as allowed: printable text is stored unchanged.
SUBJECT = "Zoë 名前 🎤".ljust(255, "x")
ISSUER = "https://id.example/" + "a" * 236
VISITOR = Principal(ISSUER, SUBJECT, SUBJECT, "default")
START = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)  # a minute before clocks change in much of Europe
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def key(name: str) -> ServiceKey:
    return ServiceKey(
        id=f"id-{name}",
        name=name,
        secret_hmac="0" * 64,
        plan="default",
        scopes=frozenset({"token", "read"}),
        profiles=frozenset({"näme"}),
        on_behalf_of_prefix="läden:",
        created_at=START,
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
    )


def standing(database: Database, verified: Verified) -> str:
    try:
        Admission(SqlStanding(database)).admit(verified)
    except Refusal as refusal:
        return refusal.code
    return "ok"


def recorded(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(audit.c.action).order_by(audit.c.id)).scalars())


def test_user_is_found_as_it_was_added(make_database: MakeDatabase) -> None:
    database = make_database(clock=Clock())
    users = SqlUsers(database)
    users.add(User("alice", "hash", "default", frozenset({"operator"})), actor="cli:olga")
    found = users.find("alice")
    assert found is not None
    assert (found.username, found.password_hash, found.roles) == ("alice", "hash", frozenset({"operator"}))
    assert (found.created_at, found.blocked_at) == (START, None)
    assert users.find("bob") is None
    assert recorded(database) == ["user.add"]


def test_concurrent_adds_of_one_user_succeed_once(database: Database) -> None:
    def add(number: int) -> bool:
        try:
            SqlUsers(database).add(User("alice", f"hash {number}"), actor="tests")
        except UserExists:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(add, range(8))).count(True) == 1
    assert recorded(database) == ["user.add"]


def test_block_revokes_credentials_and_unblock_restores_none(database: Database) -> None:
    users, sign_ins = SqlUsers(database), SqlSignIns(database)
    users.add(User("alice", "hash"), actor="tests")
    alice = users.find("alice")
    assert alice is not None
    before = Verified(alice.principal(), datetime.now(UTC), generation=alice.generation)
    sign_ins.open(alice.principal(), "1" * 64, HOUR, alice.generation)
    assert standing(database, before) == "ok"
    users.block("alice", actor="tests", reason="Grüße")
    held = sign_ins.find(["1" * 64], HOUR)
    assert held is not None, "its page must learn why it is rejected"
    assert {standing(database, one) for one in (before, held)} == {"account-blocked"}
    assert users.unblock("alice", actor="tests")
    assert {standing(database, one) for one in (before, held)} == {"invalid-token"}
    assert sign_ins.find(["1" * 64], HOUR) is None
    with pytest.raises(UserUnknown):
        users.block("bob", actor="tests")


def test_other_issuers_user_is_blocked_and_unblocked(database: Database) -> None:
    blocks = SqlBlocks(database)
    verified = Verified(VISITOR, datetime.now(UTC) - HOUR, "token \N{SNOWMAN}")
    assert standing(database, verified) == "ok"
    blocks.block_principal(ISSUER, SUBJECT, actor="tests", reason="r" * 255)
    assert standing(database, verified) == "account-blocked"
    assert blocks.lift(BlockKind.PRINCIPAL, ISSUER, SUBJECT, actor="tests")
    assert standing(database, verified) == "ok"
    SqlStanding(database).withdraw_token(VISITOR, "token \N{SNOWMAN}", datetime.now(UTC) + HOUR)
    assert standing(database, verified) == "invalid-token"
    assert [(row.issuer, row.subject) for row in blocks.page()] == [(ISSUER, "token \N{SNOWMAN}")]


def test_sign_out_revokes_earlier_tokens_and_not_later_ones(make_database: MakeDatabase) -> None:
    database = make_database(clock=Clock())
    SqlBlocks(database).revoke_before_now(ISSUER, SUBJECT, actor="tests")
    assert standing(database, Verified(VISITOR, START - timedelta(seconds=1))) == "invalid-token"
    assert standing(database, Verified(VISITOR, START + timedelta(seconds=1))) == "ok"


def test_unblock_revokes_credentials_issued_after_an_earlier_sign_out(make_database: MakeDatabase) -> None:
    clock = Clock()
    database = make_database(clock=clock)
    blocks = SqlBlocks(database)
    blocks.revoke_before_now(ISSUER, SUBJECT, actor="tests")
    later = Verified(VISITOR, START + timedelta(minutes=1))
    assert standing(database, later) == "ok"
    clock.now += timedelta(minutes=2)
    blocks.block_principal(ISSUER, SUBJECT, actor="tests")
    assert blocks.lift(BlockKind.PRINCIPAL, ISSUER, SUBJECT, actor="tests", restores=False)
    assert standing(database, later) == "invalid-token"


def test_search_finds_parts_in_any_case_and_no_wildcards(database: Database) -> None:
    special, subjects = "100%_Sure/\\", ["100%_Sure/\\", "1000 sure", "other"]
    for subject in subjects:
        with database.write() as connection:
            ensure_principal(database, connection, ISSUER, subject)
        RefusalLog(database).record(actor=subject, action="try", outcome="forbidden")

    def found(part: str) -> list[str]:
        people = SqlPeople(database).page(query=part, limit=9)
        entries = AuditLog(database).page(AuditFilter(actor=part), before_id=None, limit=9)
        assert {one.subject for one in people} == {one.actor for one in entries}
        return sorted(one.subject for one in people)

    for part in ("%", "_", "0%_s", "/", "\\", special.upper()):
        assert found(part) == [special], part
    assert found("SURE") == subjects[:2]
    assert found("oTHer") == subjects[2:]
    assert found("100?") == []


def test_concurrent_blocks_of_one_principal_all_apply(database: Database) -> None:
    blocks = SqlBlocks(database)
    verified = Verified(VISITOR, datetime.now(UTC) - HOUR)

    def block(_: int) -> str:
        blocks.block_principal(ISSUER, SUBJECT, actor="tests")
        blocks.revoke_before_now(ISSUER, SUBJECT, actor="tests")
        return standing(database, verified)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(block, range(16))) == {"account-blocked"}
    assert {row.kind for row in blocks.page()} == {BlockKind.PRINCIPAL, BlockKind.ISSUED_BEFORE}


def test_sign_in_expires_when_idle(make_database: MakeDatabase) -> None:
    clock = Clock()
    sign_ins = SqlSignIns(make_database(clock=clock))
    assert sign_ins.open(VISITOR, "1" * 64, 2 * HOUR, None) == START + 2 * HOUR
    found = sign_ins.find(["1" * 64], HOUR)
    assert found is not None
    assert (found.principal, found.issued_at) == (VISITOR, START)
    clock.now += timedelta(minutes=59)
    assert sign_ins.find(["1" * 64], HOUR) is not None  # a use, which restarts the idle time
    clock.now += timedelta(minutes=59)
    assert sign_ins.find(["1" * 64], HOUR) is not None
    clock.now += timedelta(minutes=2)
    assert sign_ins.find(["1" * 64], HOUR) is None


def test_concurrent_sign_ins_delete_expired_ones(make_database: MakeDatabase) -> None:
    clock = Clock()
    database = make_database(clock=clock)
    sign_ins = SqlSignIns(database)
    for number in range(40):
        sign_ins.open(VISITOR, f"{number:064}", timedelta(minutes=1), None)
    clock.now += HOUR
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: sign_ins.open(VISITOR, f"{number:064}", HOUR, None), range(100, 132)))
    with database.read() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM sign_ins").scalar_one()
    assert count == 32


def test_service_key_is_found_as_it_was_created(make_database: MakeDatabase) -> None:
    clock = Clock()
    keys = SqlServiceKeys(make_database(clock=clock))
    made = keys.add(key("shop"), HOUR, actor="tests")
    assert (made.expires_at, made.profiles, made.on_behalf_of_prefix) == (
        START + HOUR,
        frozenset({"näme"}),
        "läden:",
    )
    clock.now += timedelta(minutes=6)
    found, now = keys.find("id-shop")
    assert (found, now) == (made, clock.now)
    keys.used(made, now)
    assert keys.page()[0].last_used_at == clock.now
    revoked = keys.revoke("shop", actor="tests")
    assert revoked is not None
    assert revoked.revoked_at == clock.now


def test_concurrent_creations_of_one_key_name_succeed_once(database: Database) -> None:
    def add(_: int) -> bool:
        try:
            SqlServiceKeys(database).add(key("shop"), None, actor="tests")
        except KeyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(add, range(8))).count(True) == 1


def test_change_that_cannot_be_audited_does_not_happen(database: Database) -> None:
    users = SqlUsers(database)
    users.add(User("alice", "hash"), actor="tests")
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO lost")
    with pytest.raises(Refusal, match="audit-unavailable"):
        users.block("alice", actor="tests")
    alice = users.find("alice")
    assert alice is not None
    assert alice.blocked_at is None


def test_audit_ids_exceed_32_bits(database: Database) -> None:
    users = SqlUsers(database)
    with database.write() as connection:
        far = {"id": 2**31 - 1, "at": START, "actor": "a", "action": "b", "outcome": "ok"}
        connection.execute(audit.insert().values(far))
        if not database.is_sqlite:
            connection.exec_driver_sql(f"SELECT setval('audit_id_seq', {2**31 - 1})")
    users.add(User("alice", "hash"), actor="tests")
    with database.read() as connection:
        assert connection.execute(select(func.max(audit.c.id))).scalar_one() == 2**31
