"""The token issuer with real parts: an SQLite file, the real counters, and a minter without a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from broker.errors import Refusal
from broker.issuing.request import TokenRequest
from broker.limits.policy import Allowance
from broker.principal import end_user
from broker.sessions.session import SessionState
from broker.store.database.engine import Database
from broker.store.database.tables import tokens
from tests.support.stores import Stores
from tests.unit.issuing.story import ALICE, BOB, KEY, Story, refused


@pytest.fixture
def story(stores: Stores) -> Iterator[Story]:
    database = Database(stores.migrated("sqlite").database_url)
    yield Story(database)
    database.dispose()


def test_request_gets_a_token_of_an_open_session(story: Story) -> None:
    issued = story.issuer.open_session(ALICE, TokenRequest(ttl_seconds=60, client={"app": "tests"}))
    session = story.issuer.ledger.find(ALICE, issued.reservation.session_id)
    assert (session.state, session.profile, session.model) == (SessionState.OPEN, "default", "models/m")
    assert (issued.profile.name, issued.token_plan.model) == ("default", "models/m")
    assert (issued.reservation.expires_at - issued.reservation.reserved_at).total_seconds() == 60
    assert (story.usage(ALICE), story.remaining(ALICE)) == ((1, 60), 2)
    assert (issued.reservation.usage.open, issued.rates[0].remaining) == (1, 2)
    with story.database.read() as connection:
        assert connection.execute(select(tokens.c.token_sha256)).scalar_one() == issued.token.sha256
    assert story.trail() == [("token", "reserved"), ("token", "ok")]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (TokenRequest(profile="none"), "profile-unknown"),
        (TokenRequest(profile="gold"), "profile-forbidden"),
        (TokenRequest(profile="attested"), "forbidden"),
        (TokenRequest(ttl_seconds=901), "ttl-too-long"),
    ],
)
def test_refused_request_is_counted_and_audited_and_reserves_nothing(
    story: Story, request_: TokenRequest, code: str
) -> None:
    assert refused(story, ALICE, request_) == code
    assert (story.usage(ALICE), story.remaining(ALICE)) == ((0, 0), 2)
    assert story.trail() == [("token", code)]
    assert story.minter.minted == 0


def test_exhausted_quota_is_refused_before_a_call_to_google(story: Story) -> None:
    for _ in range(2):
        story.issuer.open_session(ALICE, TokenRequest())
    assert refused(story, ALICE, TokenRequest()) == "too-many-sessions"
    assert refused(story, ALICE, TokenRequest()) == "rate-limited"
    assert story.minter.minted == 2
    assert story.usage(BOB) == (0, 0), "no one else is affected"


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Refusal("upstream-timeout"), "upstream-timeout"), (RuntimeError("a bug"), "internal")],
)
def test_failed_mint_is_not_charged(story: Story, fault: Exception, code: str) -> None:
    story.minter.fault = fault
    with pytest.raises(type(fault)):
        story.issuer.open_session(ALICE, TokenRequest())
    assert story.usage(ALICE) == (0, 0)
    assert story.trail() == [("token", "reserved"), ("token", code)]


def test_while_google_is_down_nothing_is_counted_or_reserved(story: Story) -> None:
    first = story.issuer.open_session(ALICE, TokenRequest())
    before = story.usage(ALICE), story.remaining(ALICE), story.remaining(ALICE, "next-token")
    story.minter.down = Refusal("upstream-timeout", retry_after_seconds=2)
    assert refused(story, ALICE, TokenRequest()) == "upstream-timeout"
    with pytest.raises(Refusal) as caught:
        story.issuer.next_token(ALICE, first.reservation.session_id, None)
    assert caught.value.retry_after_seconds == 2
    assert (story.usage(ALICE), story.remaining(ALICE), story.remaining(ALICE, "next-token")) == before
    assert story.trail()[2:] == [("token", "upstream-timeout"), ("next-token", "upstream-timeout")]


def test_extra_allowance_is_counted_besides_the_principals_own(story: Story) -> None:
    address = Allowance("1/hour", "guests", "192.0.2.1", "guests of this address")
    story.issuer.open_session(ALICE, TokenRequest(), [address])
    with pytest.raises(Refusal) as caught:
        story.issuer.open_session(BOB, TokenRequest(), [address])
    assert (caught.value.code, story.remaining(BOB)) == ("rate-limited", 3)


def test_service_keys_user_is_admitted_and_charged_to_both(story: Story) -> None:
    user = end_user(KEY, "u1")
    story.issuer.open_session(user, TokenRequest())
    assert story.admitted == [user]
    assert (story.usage(user), story.usage(KEY)) == ((1, 900), (1, 900))
    assert (story.remaining(user), story.remaining(KEY)) == (2, 2)
    assert refused(story, end_user(KEY, "blocked"), TokenRequest()) == "account-blocked"


def test_next_token_has_its_own_rate_and_keeps_the_session(story: Story) -> None:
    first = story.issuer.open_session(ALICE, TokenRequest(profile="default"))
    following = story.issuer.next_token(ALICE, first.reservation.session_id, "handle")
    assert following.reservation.session_id == first.reservation.session_id
    assert following.token != first.token
    assert (story.remaining(ALICE), story.remaining(ALICE, "next-token")) == (2, 2)
    assert story.usage(ALICE)[0] == 1


def test_service_key_renews_the_session_of_its_user(story: Story) -> None:
    user = end_user(KEY, "u1")
    first = story.issuer.open_session(user, TokenRequest())
    assert story.issuer.next_token(KEY, first.reservation.session_id, None).principal == user


def test_session_of_another_principal_is_unknown_and_the_refusal_audited(story: Story) -> None:
    first = story.issuer.open_session(ALICE, TokenRequest())
    with pytest.raises(Refusal) as caught:
        story.issuer.next_token(BOB, first.reservation.session_id, None)
    assert caught.value.code == "session-unknown"
    assert story.trail()[-1] == ("next-token", "session-unknown")
