"""Tokens that are minted ahead, in the story of a token: limits, charges and trail are as without them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from broker.errors import Refusal
from broker.issuing.request import Issued, TokenRequest
from broker.principal import end_user
from broker.profiles.profile import WARM_WAIT_SECONDS
from broker.settings import Plan
from broker.store.database.engine import Database
from broker.store.database.tables import sessions, tokens
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.quota_usage import GRACE
from broker.telemetry.metrics import WARM_TOKENS
from tests.support.counts import wrong_counts
from tests.support.servers import own_principal
from tests.support.shelves import tokens_on
from tests.support.stores import Stores
from tests.unit.issuing.story import ALICE, BOB, KEY, Story, refused

PLAN = Plan(rate="6/minute", sessions=5, minutes_per_day=60, session_minutes=30)


def plan_with(**changes: int) -> Plan:
    return PLAN.model_copy(update=changes)


CAROL = own_principal("carol")
WARM = TokenRequest(profile="warm")


@pytest.fixture
def story(stores: Stores) -> Iterator[Story]:
    """With two warm tokens, after two requests of carol."""
    database = Database(stores.migrated("sqlite").database_url)
    story = Story(database, PLAN)
    for _ in range(2):
        story.issuer.open_session(CAROL, WARM)
    refill(story)
    yield story
    database.dispose()


def refill(story: Story) -> int:
    story.background.clear()
    story.warm_tokens.tend()
    calls = list(story.background)
    story.background.clear()
    for call in calls:
        call()
    return len(calls)


def warm_left(story: Story) -> int:
    shelf = story.warm_tokens.shelf("warm")
    assert shelf
    return tokens_on(shelf, story.minter.token_plan(shelf.profile))


def figures() -> list[float]:
    return [WARM_TOKENS.labels("warm", name)._value.get() for name in ("hit", "miss", "wasted")]


def is_warm(issued: Issued) -> bool:
    return issued.ready is not None


def test_warm_token_is_charged_and_held_for_exactly_its_own_times(story: Story) -> None:
    before, minted = figures(), story.minter.minted
    issued = story.issuer.open_session(ALICE, WARM)
    assert is_warm(issued)
    assert issued.token.name == "auth_tokens/3"
    assert (story.minter.minted, warm_left(story)) == (minted, 1), "no call to Google"
    assert [now - then for now, then in zip(figures(), before, strict=True)] == [1, 0, 0]
    times = story.minter.times[issued.token]
    assert issued.reservation.times == times
    life = (times.expires_at - issued.reservation.reserved_at).total_seconds()
    assert 900 <= life <= 900 + WARM_WAIT_SECONDS
    assert story.usage(ALICE) == (1, math.ceil(life))
    with story.database.read() as connection:
        row = connection.execute(select(tokens).where(tokens.c.id == issued.reservation.token_id)).one()
        session = connection.execute(select(sessions).where(sessions.c.id == row.session_id)).one()
    assert (row.connect_by, row.expires_at) == (times.connect_by, times.expires_at)
    assert row.seconds == math.ceil(life)
    assert session.held_until == times.connect_by + GRACE
    assert (row.token_sha256, row.mint_ms) == (issued.token.sha256, 0)
    assert story.trail()[-2:] == [("token", "reserved"), ("token", "ok")]
    assert wrong_counts(story.database) == []


def test_each_caller_gets_a_token_of_its_own_and_the_next_one_is_minted(story: Story) -> None:
    issued = [story.issuer.open_session(who, WARM) for who in (ALICE, BOB, ALICE)]
    assert [is_warm(one) for one in issued] == [True, True, False]
    assert len({one.token for one in issued}) == 3
    assert refill(story) == 2


@pytest.mark.parametrize(
    "request_", [TokenRequest(profile="warm", ttl_seconds=900), TokenRequest(profile="default")]
)
def test_own_lifetime_or_another_profile_leaves_the_warm_tokens_alone(
    story: Story, request_: TokenRequest
) -> None:
    before = figures()
    assert not is_warm(story.issuer.open_session(ALICE, request_))
    assert (warm_left(story), figures()) == (2, before)


def test_renewal_never_gets_a_warm_token(story: Story) -> None:
    first = story.issuer.open_session(ALICE, WARM)
    following = story.issuer.next_token(ALICE, first.reservation.session_id, None)
    assert not is_warm(following)
    assert warm_left(story) == 1


def test_refused_caller_leaves_the_warm_tokens_alone(story: Story) -> None:
    for _ in range(PLAN.sessions):
        story.issuer.open_session(ALICE, TokenRequest(ttl_seconds=30))
    before = figures()
    assert refused(story, ALICE, WARM) == "too-many-sessions"
    assert refused(story, ALICE, WARM) == "rate-limited"
    assert (warm_left(story), figures()) == (2, before)
    assert is_warm(story.issuer.open_session(BOB, WARM))


def test_last_minutes_of_a_day_are_granted_in_full_and_never_exceeded(story: Story) -> None:
    """An hour: three full tokens, the last shorter one, and not a second more."""
    granted = []
    for _ in range(4):
        refill(story)
        issued = story.issuer.open_session(ALICE, WARM)
        granted.append(is_warm(issued))
    assert granted == [True, True, True, False]
    assert story.usage(ALICE)[1] == PLAN.minutes_per_day * 60
    assert refused(story, ALICE, WARM) == "minutes-exhausted"
    assert warm_left(story) >= 1
    assert wrong_counts(story.database) == []


def test_caller_with_much_forgiven_time_gets_a_shorter_token_and_asks_for_no_warm_ones(story: Story) -> None:
    quotas = story.issuer.policy.for_principal(ALICE).quotas
    for _ in range(2):
        issued = story.issuer.open_session(ALICE, WARM)
        story.issuer.ledger.end(ALICE, issued.reservation.session_id, quotas)
    refill(story)
    before = figures()
    issued = story.issuer.open_session(ALICE, WARM)
    assert issued.reservation.expires_at - issued.reservation.reserved_at < timedelta(seconds=900)
    assert [now - then for now, then in zip(figures(), before, strict=True)] == [0, 1, 0]
    assert warm_left(story) == 2


def test_warm_token_of_a_service_keys_user_is_charged_to_both(story: Story) -> None:
    user = end_user(KEY, "u1")
    issued = story.issuer.open_session(user, WARM)
    assert is_warm(issued)
    assert story.usage(user) == story.usage(KEY)


def test_suspension_leaves_none_to_be_handed_out(story: Story) -> None:
    story.issuer.suspensions.set("Something is wrong.", ["warm"], renewals=False, actor="olga")
    before = figures()
    assert refused(story, ALICE, WARM) == "minting-suspended"
    assert figures() == before


def test_token_whose_confirmation_fails_is_delivered_to_no_one(story: Story) -> None:
    """Its reservation names it, so another caller's trail must not name it too."""

    class Blocking(SqlLedger):
        def confirm(self, *_: object, **__: object) -> None:
            raise Refusal("account-blocked")

    with pytest.raises(Refusal):
        story.issuer.open_session(ALICE, WARM, reservations=Blocking(story.database))
    assert story.usage(ALICE) == (0, 0)
    assert warm_left(story) == 1
    assert story.issuer.open_session(BOB, WARM).token.name == "auth_tokens/4"


def test_failing_refill_disturbs_no_caller(story: Story) -> None:
    for who in (ALICE, BOB):
        story.issuer.open_session(who, WARM)
    story.minter.fault = Refusal("upstream-error")
    assert refill(story) == 2
    story.minter.fault = None
    issued = story.issuer.open_session(ALICE, WARM)
    assert not is_warm(issued)
    assert issued.reservation.expires_at - issued.reservation.reserved_at == timedelta(seconds=900)


@pytest.mark.parametrize(
    "plan",
    [
        plan_with(session_minutes=15),
        plan_with(forgiven_minutes_per_day=15),
        plan_with(forgiven_minutes_per_day=0),
        plan_with(minutes_per_day=10),
    ],
    ids=["short sessions", "little is forgiven", "nothing is forgiven", "few minutes"],
)
def test_nothing_is_minted_ahead_for_callers_whom_it_never_suits(stores: Stores, plan: Plan) -> None:
    database = Database(stores.migrated("sqlite").database_url)
    story = Story(database, plan)
    for who in (ALICE, BOB, CAROL):
        assert not is_warm(story.issuer.open_session(who, WARM))
        assert refill(story) == 0
    database.dispose()
