"""Requests with the same caller, header and body count as one request."""

from __future__ import annotations

import pytest

from broker.errors import Refusal
from broker.idempotency.key import idempotency_key
from tests.support.servers import own_principal

ALICE, BOB = own_principal("alice"), own_principal("bob")
BODY = {"profile": "default", "ttl_seconds": 60}


def test_order_of_members_does_not_matter() -> None:
    assert idempotency_key(ALICE, "k", BODY) == idempotency_key(ALICE, "k", dict(reversed(BODY.items())))


def test_another_body_keeps_the_key_and_changes_its_hash() -> None:
    first, other = idempotency_key(ALICE, "k", BODY), idempotency_key(ALICE, "k", {})
    assert first.key == other.key
    assert first.body_sha256 != other.body_sha256


def test_requesters_and_headers_do_not_share_keys() -> None:
    keys = {idempotency_key(who, header, BODY).key for who in (ALICE, BOB) for header in ("k1", "k2")}
    assert len(keys) == 4


def test_repr_of_the_key_does_not_contain_the_header() -> None:
    assert "canary" not in repr(idempotency_key(ALICE, "canary", BODY))


@pytest.mark.parametrize("header", ["", " ", "a b", "x" * 256, "Schlüssel", "tab\there"])
def test_malformed_header_is_a_bad_request(header: str) -> None:
    with pytest.raises(Refusal) as refused:
        idempotency_key(ALICE, header, BODY)
    assert refused.value.code == "bad-request"
