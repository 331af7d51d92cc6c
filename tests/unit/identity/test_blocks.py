"""Each kind of block refuses a credential with its code, for every issuer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import Refusal
from broker.identity.bearer import Verified
from broker.identity.blocks import Admission, Block, BlockKind, token_key
from broker.identity.users import User
from broker.principal import NO_OVERRIDES, OWN_ISSUER, Overrides, Principal

THEN = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
EVE = Principal("https://idp.example/", "u-1", "Eve", "gold", frozenset({"operator"}))
ALICE = Principal(OWN_ISSUER, "alice", "alice", "default")


class Known:
    """A store with exactly these blocks and this user. It records the withdrawn tokens."""

    def __init__(self, *blocks: Block, user: User | None = None) -> None:
        self.blocks, self.user = list(blocks), user
        self.withdrawn: list[tuple[str, datetime]] = []

    def of_own_user(self, verified: Verified) -> tuple[User | None, Overrides, Overrides, list[Block]]:
        return self.user, NO_OVERRIDES, NO_OVERRIDES, self.blocks

    def of_other(self, verified: Verified) -> tuple[Overrides, Overrides, list[Block]]:
        return NO_OVERRIDES, NO_OVERRIDES, self.blocks

    def withdraw_token(self, principal: Principal, token_id: str, until: datetime) -> None:
        self.withdrawn.append((token_id, until))


def outcome(known: Known, verified: Verified) -> str:
    try:
        Admission(known).admit(verified)
    except Refusal as refusal:
        return refusal.code
    return "admitted"


def before(moment: datetime) -> Block:
    return Block(BlockKind.ISSUED_BEFORE, moment)


@pytest.mark.parametrize(
    ("blocks", "answer"),
    [
        ([], "admitted"),
        ([Block(BlockKind.PRINCIPAL)], "account-blocked"),
        ([Block(BlockKind.ISSUER)], "account-blocked"),
        ([Block(BlockKind.TOKEN)], "invalid-token"),
        ([before(THEN)], "admitted"),
        ([before(THEN - timedelta(days=1))], "admitted"),
        ([before(THEN + timedelta(milliseconds=1))], "invalid-token"),
        ([Block(BlockKind.ISSUED_BEFORE)], "invalid-token"),
        ([Block(BlockKind.UNKNOWN)], "invalid-token"),
        ([Block(BlockKind.TOKEN), Block(BlockKind.PRINCIPAL)], "account-blocked"),
    ],
)
@pytest.mark.parametrize("principal", [EVE, ALICE], ids=["another issuer's", "own"])
def test_each_kind_of_block_refuses_the_credential(
    principal: Principal, blocks: list[Block], answer: str
) -> None:
    known = Known(*blocks, user=User("alice", "hash", generation="1"))
    assert outcome(known, Verified(principal, THEN, "jti", "1")) == answer


def test_external_principal_keeps_its_issuers_plan_and_roles() -> None:
    assert Admission(Known()).admit(Verified(EVE, THEN)) == EVE


def test_own_user_has_current_plan_and_roles() -> None:
    user = User("alice", "hash", plan="gold", roles=frozenset({"operator"}), generation="1")
    admitted = Admission(Known(user=user)).admit(Verified(ALICE, THEN, "jti", "1"))
    assert (admitted.plan, admitted.roles) == ("gold", frozenset({"operator"}))


@pytest.mark.parametrize("generation", ["0", "", None])
def test_credential_of_earlier_generation_is_refused(generation: str | None) -> None:
    known = Known(user=User("alice", "hash", generation="1"))
    assert outcome(known, Verified(ALICE, THEN, "jti", generation)) == "invalid-token"


def test_deleted_or_blocked_user_is_refused() -> None:
    assert outcome(Known(), Verified(ALICE, THEN, "jti", "1")) == "invalid-token"
    blocked = Known(user=User("alice", "hash", blocked_at=THEN, generation="1"))
    assert outcome(blocked, Verified(ALICE, THEN, "jti", "1")) == "account-blocked"
    assert outcome(blocked, Verified(ALICE, THEN, "jti", "0")) == "account-blocked"


def test_sign_out_revokes_only_own_tokens_beyond_their_lifetime() -> None:
    known, hour = Known(), timedelta(hours=1)
    Admission(known).revoke(Verified(EVE, THEN, "theirs"), hour)
    Admission(known).revoke(Verified(ALICE, THEN), hour)
    Admission(known).revoke(Verified(ALICE, THEN, "ours", "1"), hour)
    ((token_id, until),) = known.withdrawn
    assert token_id == "ours"
    assert until > THEN + hour


def test_same_token_id_of_two_issuers_is_two_tokens() -> None:
    assert token_key("https://a.example", "1") != token_key("https://b.example", "1")
    assert token_key("https://a.example", "b1") != token_key("https://a.exampleb", "1")
