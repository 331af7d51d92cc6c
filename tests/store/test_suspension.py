"""The suspension: one for all workers and hosts, replaced as a whole, recorded in the audit trail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from broker.sessions.suspension import Suspension, refusal
from broker.store.database.engine import Database
from broker.store.database.tables import audit
from broker.store.ledger.suspension import SqlSuspensions

OLGA = "live-broker:olga"


def changes(database: Database) -> list[tuple[str, dict[str, object]]]:
    with database.read() as connection:
        rows = connection.execute(select(audit.c.action, audit.c.detail).order_by(audit.c.id))
        return [(row.action, row.detail) for row in rows]


def test_suspension_is_set_and_lifted_for_every_reader(database: Database) -> None:
    here, elsewhere = SqlSuspensions(database), SqlSuspensions(database)
    assert here.current() is None
    stopped = here.set("Google is down", None, renewals=False, actor=OLGA)
    assert elsewhere.current() == stopped
    assert stopped.by == OLGA
    assert elsewhere.lift(actor=OLGA)
    assert here.current() is None
    assert not here.lift(actor=OLGA), "there is nothing to lift"


def test_second_suspension_replaces_first(database: Database) -> None:
    suspensions = SqlSuspensions(database)
    suspensions.set("first", None, renewals=True, actor=OLGA)
    suspensions.set("second", ["default"], renewals=False, actor=OLGA)
    current = suspensions.current()
    assert current is not None
    assert (current.reason, current.profiles, current.renewals) == ("second", ("default",), False)


def test_changes_are_recorded_with_before_and_after(database: Database) -> None:
    suspensions = SqlSuspensions(database)
    suspensions.set("first", ["default"], renewals=True, actor=OLGA)
    suspensions.lift(actor=OLGA)
    terms = {"reason": "first", "profiles": ["default"], "renewals": True}
    assert changes(database) == [
        ("suspend", {"before": None, "after": terms}),
        ("resume", {"before": terms, "after": None}),
    ]


def test_suspending_at_once_leaves_one_suspension(database: Database) -> None:
    suspensions = SqlSuspensions(database)
    reasons = [f"reason {number}" for number in range(8)]
    with ThreadPoolExecutor(8) as operators:
        list(operators.map(lambda reason: suspensions.set(reason, None, renewals=False, actor=OLGA), reasons))
    current = suspensions.current()
    assert current is not None
    assert current.reason in reasons


def test_suspension_covers_named_profiles_and_optionally_renewals(database: Database) -> None:
    suspensions = SqlSuspensions(database)

    def refused(found: Suspension | None, profile: str, *, renewal: bool) -> bool:
        said = refusal(found, profile, renewal=renewal)
        assert said is None or (said.code, said.detail) == ("minting-suspended", "why")
        return said is not None

    of_all = suspensions.set("why", None, renewals=False, actor=OLGA)
    assert refused(of_all, "default", renewal=False)
    assert not refused(of_all, "default", renewal=True)
    of_one = suspensions.set("why", ["storyteller"], renewals=True, actor=OLGA)
    assert refused(of_one, "storyteller", renewal=True)
    assert refused(of_one, "storyteller", renewal=False)
    assert not refused(of_one, "default", renewal=False)
    assert not refused(None, "default", renewal=False)
