"""Which limits apply to a principal, and who is charged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.limits.policy import Allowance, Policy
from broker.limits.quota import UNLIMITED, Quota
from broker.principal import Overrides, Principal, end_user, team_named
from broker.settings import Plan, Project, Team

DEFAULT = Plan(rate="10/minute", sessions=2, minutes_per_day=60, session_minutes=30)
GOLD = Plan(rate="100/minute", sessions=9, minutes_per_day=600, session_minutes=15, reserved_sessions=4)
POLICY = Policy({"default": DEFAULT, "gold": GOLD}, project=Project())


def alice(plan: str = "default", **overrides: object) -> Principal:
    principal = Principal("live-broker", "alice", "alice", plan)
    return principal.with_overrides(Overrides(**overrides))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("principal", "plan", "rule"),
    [
        (alice(), DEFAULT, "default"),
        (alice("gold"), GOLD, "plan gold"),
        (alice("removed"), DEFAULT, "default"),
        (alice(plan="gold"), GOLD, "plan gold"),
        (alice(sessions=7), DEFAULT.model_copy(update={"sessions": 7}), "own sessions; default"),
        (
            alice("gold", rate="1/hour", session_minutes=5),
            GOLD.model_copy(update={"rate": "1/hour", "session_minutes": 5}),
            "own rate, session_minutes; plan gold",
        ),
    ],
    ids=["default", "plan", "removed plan", "overridden plan", "one override", "overrides of a plan"],
)
def test_override_takes_precedence_over_plan_and_plan_over_default(
    principal: Principal, plan: Plan, rule: str
) -> None:
    limits = POLICY.for_principal(principal)
    assert (limits.plan, limits.rule) == (plan, rule)
    assert limits.session_seconds == plan.session_minutes * 60


def test_principal_is_charged_once_in_the_scope_of_the_request() -> None:
    principal = alice("gold")
    limits = POLICY.for_principal(principal)
    assert limits.allowances("token") == [Allowance("100/minute", "token", principal.key)]
    assert limits.allowances("next-token") == [Allowance("100/minute", "next-token", principal.key)]
    assert limits.quotas.of == (Quota(principal.key, 9, 600),)


def test_service_keys_user_is_charged_to_the_key_first_and_then_to_itself() -> None:
    key = Principal("live-broker:key", "k1", "shop", "gold")
    user = end_user(key, "u1")
    limits = POLICY.for_principal(user)
    assert limits.plan == DEFAULT
    assert limits.allowances("token") == [
        Allowance("100/minute", "token", key.key, "the service key"),
        Allowance("10/minute", "token", user.key),
    ]
    assert limits.quotas.of == (Quota(key.key, 9, 600, "the service key"), Quota(user.key, 2, 60))


def test_session_of_a_service_keys_user_ends_with_the_shorter_plan() -> None:
    key = Principal("live-broker:key", "k1", "shop", "gold")
    assert POLICY.for_principal(end_user(key, "u1")).session_seconds == 15 * 60
    generous = key.with_overrides(Overrides(session_minutes=60))
    assert POLICY.for_principal(end_user(generous, "u1")).session_seconds == 30 * 60


@pytest.mark.parametrize(
    ("plan", "counted_for"), [("default", "default"), ("gold", "gold"), ("gone", "default")]
)
def test_session_takes_a_project_place_of_the_requesters_plan(plan: str, counted_for: str) -> None:
    key = Principal("live-broker:key", "k1", "shop", plan)
    for principal in (alice(plan), end_user(key, "u1")):
        quotas = POLICY.for_principal(principal).quotas
        assert (quotas.project_sessions, quotas.plan, quotas.reserved) == (50, counted_for, {"gold": 4})


SALES = Team(rate="50/minute", sessions=20)
TEAMS = Policy({"default": DEFAULT}, Project(), {"sales": SALES, "default": Team(minutes_per_day=600)})


@pytest.mark.parametrize(
    ("name", "own", "limits", "rule"),
    [
        ("sales", {}, SALES, "team sales"),
        ("support", {}, Team(minutes_per_day=600), "team default"),
        ("sales", {"sessions": 3}, Team(rate="50/minute", sessions=3), "own sessions; team sales"),
    ],
)
def test_team_has_its_entry_or_the_default_with_overrides(
    name: str, own: dict[str, Any], limits: Team, rule: str
) -> None:
    member = replace(alice(), team=team_named(name)).with_overrides(Overrides(), Overrides(**own))
    found = TEAMS.for_principal(member).team
    assert found is not None
    assert (found.name, found.limits, found.rule) == (name, limits, rule)


def test_member_is_charged_to_the_team_first() -> None:
    member = replace(alice(), team=team_named("sales"))
    limits = TEAMS.for_principal(member)
    assert [(one.rate, one.whose) for one in limits.allowances("token")] == [
        ("50/minute", "the team"),
        ("10/minute", None),
    ]
    team, own = limits.quotas.of
    assert (team.sessions, team.minutes_per_day, team.whose, team.is_team) == (
        20,
        UNLIMITED,
        "the team",
        True,
    )
    assert own.key == member.key
    assert limits.plan == DEFAULT


def test_team_without_limits_is_not_looked_at() -> None:
    limits = POLICY.for_principal(replace(alice(), team=team_named("sales")))
    assert [one.key for one in limits.quotas.of] == [alice().key]
    assert len(limits.allowances("token")) == 1
    assert limits.team is not None
    assert limits.team.rule == "no limit"
