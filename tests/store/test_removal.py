"""A removed user loses everything that gives access, and keeps what limits count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from broker.errors import Refusal
from broker.identity.bearer import Verified
from broker.identity.blocks import Admission
from broker.identity.users import User
from broker.limits.quota import Quota, Quotas
from broker.minting.minter import MintedToken
from broker.principal import OPERATOR, OWN_ISSUER, Principal
from broker.sessions.session import SessionState, SessionTerms
from broker.store.accounts.blocks import SqlBlocks
from broker.store.accounts.overrides import SqlOverrides
from broker.store.accounts.removal import remove_user
from broker.store.accounts.sign_ins import SqlSignIns
from broker.store.accounts.standing import SqlStanding
from broker.store.accounts.users import LastOperator, SqlUsers, UserUnknown
from broker.store.audit import AuditFilter, AuditLog
from broker.store.database.engine import Database
from broker.store.database.tables import sign_ins
from broker.store.ledger.ledger import SqlLedger
from broker.store.reporting.people import SqlPeople
from tests.support.servers import own_principal

ALICE = own_principal("alice")
ROOMY = Quotas((Quota(ALICE.key, 10, 60),), 100)
TERMS = SessionTerms("default", "models/m", 7200, 900, 120, {})
TOKEN = MintedToken("auth_tokens/canary")


def add(database: Database, name: str = "alice", *roles: str) -> User:
    SqlUsers(database).add(User(name, "hash", "default", frozenset(roles)), actor="tests")
    found = SqlUsers(database).find(name)
    assert found is not None
    return found


def remove(database: Database, name: str = "alice") -> datetime | None:
    return remove_user(database, name, actor="cli:olga", keep_one_operator=True)


def admitted(database: Database, user: User) -> str:
    verified = Verified(user.principal(), datetime.now(UTC), generation=user.generation)
    try:
        Admission(SqlStanding(database)).admit(verified)
    except Refusal as refusal:
        return refusal.code
    return "ok"


def talk(database: Database, principal: Principal = ALICE) -> str:
    ledger = SqlLedger(database)
    reservation = ledger.reserve(principal, TERMS, ROOMY)
    ledger.confirm(principal, reservation, TOKEN)
    return reservation.session_id


def entries(database: Database, action: str) -> list[Any]:
    return AuditLog(database).page(AuditFilter(action=action), before_id=None, limit=10)


def test_nothing_gives_access_any_longer(database: Database) -> None:
    user = add(database)
    SqlSignIns(database).open(user.principal(), "cookie", timedelta(hours=1), user.generation)
    SqlOverrides(database).set(OWN_ISSUER, "alice", {"plan": "gold"}, actor="tests")
    assert remove(database) is None
    assert SqlUsers(database).all() == []
    assert admitted(database, user) == "invalid-token"
    assert SqlSignIns(database).find(["cookie"], timedelta(hours=1)) is None
    with database.read() as connection:
        assert connection.execute(select(sign_ins)).all() == []
    assert SqlOverrides(database).all() == []
    assert SqlPeople(database).page(limit=10) == []
    assert SqlBlocks(database).page() == [], "what is left for requests under way is no operator's block"
    (entry,) = entries(database, "user.remove")
    assert entry.detail == {
        "user": "alice",
        "before": {"plan": "default", "roles": [], "limits": {"plan": "gold"}},
        "after": None,
    }


def test_new_user_of_the_same_name_inherits_no_access_and_what_is_left_of_the_day(
    database: Database,
) -> None:
    """Otherwise, adding and removing a user would be a way around minutes and places."""
    old = add(database)
    session = talk(database)
    until = remove(database)
    assert until is not None, "Google may still honour the token"
    new = add(database)
    assert (admitted(database, old), admitted(database, new)) == ("invalid-token", "ok")
    (usage,), _ = SqlLedger(database).usages(ROOMY)
    assert (usage.open, usage.used_minutes) == (1, 15)
    with pytest.raises(Refusal) as refusal:
        SqlLedger(database).reserve_next(ALICE, session, 900, 120, ROOMY)
    assert refusal.value.code == "session-ended"
    assert SqlOverrides(database).find(ALICE.key).plan is None
    talk(database)


def test_token_that_is_being_minted_is_not_delivered(database: Database) -> None:
    add(database)
    ledger = SqlLedger(database)
    reservation = ledger.reserve(ALICE, TERMS, ROOMY)
    remove(database)
    with pytest.raises(Refusal) as refusal:
        ledger.confirm(ALICE, reservation, TOKEN)
    assert refusal.value.code in ("session-ended", "session-unknown")
    (usage,), _ = ledger.usages(ROOMY)
    assert (usage.open, usage.used_seconds) == (0, 0), "nobody got it, so it costs nothing"


def test_request_that_was_admitted_before_the_removal_gets_no_token(database: Database) -> None:
    add(database)
    remove(database)
    ledger = SqlLedger(database)
    reservation = ledger.reserve(ALICE, TERMS, ROOMY)
    with pytest.raises(Refusal) as refusal:
        ledger.confirm(ALICE, reservation, TOKEN)
    assert refusal.value.code == "account-blocked"


def test_open_session_gets_no_further_token_and_ends(database: Database) -> None:
    add(database)
    session = talk(database)
    remove(database)
    ended = SqlLedger(database).find(ALICE, session)
    assert (ended.state, ended.ended_at is not None) == (SessionState.ENDED, True)
    assert ended.holds_place(datetime.now(UTC)), "someone may be talking with its token"


def test_last_operator_and_unknown_users_stay_as_they_are(database: Database) -> None:
    add(database, "olga", OPERATOR)
    add(database)
    with pytest.raises(LastOperator):
        remove(database, "olga")
    with pytest.raises(UserUnknown):
        remove(database, "bob")
    assert [user.username for user in SqlUsers(database).all()] == ["alice", "olga"]
    assert entries(database, "user.remove") == []
