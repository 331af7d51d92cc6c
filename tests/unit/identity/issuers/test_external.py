"""The plan, role, name and lifetime that an issuer's entry derives from a good token."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from broker.errors import Refusal
from broker.identity import jws
from broker.identity.bearer import Verified
from broker.identity.issuers.external import ExternalIssuer
from broker.identity.issuers.fetch import load
from broker.identity.issuers.jwks import parse
from broker.identity.issuers.key_cache import KeyCache
from broker.settings import IssuerSpec
from tests.support.issuers import KeyServer, Signer, signer

ISSUER = "https://id.example/"
KEY = signer("rsa")
PLANS = ("default", "gold", "silver")
NOW = 1_800_000_000


def verify(claims: dict[str, Any], *, now: float = NOW, **entry: Any) -> Verified:
    written = {"name": "test", "issuer": ISSUER, "audience": "voice", "jwks_url": "https://id.example/keys"}
    spec = IssuerSpec.model_validate({**written, **entry})
    cache = KeyCache("test", lambda: parse({"keys": [KEY.jwk()]}, spec.algorithms), spawn=lambda work: work())
    good = {"iss": ISSUER, "aud": "voice", "sub": "user-1", "iat": NOW - 60, "exp": NOW + 600}
    token = jws.read(KEY.token({**good, **claims}))
    return ExternalIssuer(spec, cache, PLANS, now=lambda: now).verify(token)


def test_known_keys_verify_for_an_hour_without_the_key_server() -> None:
    """Over real HTTP with simulated time. A token of a new key gets `keys-unavailable`."""
    with KeyServer() as server:
        written = {"name": "test", "issuer": ISSUER, "audience": "voice"}
        spec = IssuerSpec.model_validate({**written, "jwks_url": server.publish("/keys", [KEY])})
        passed = [0.0]
        cache = KeyCache("test", partial(load, spec), clock=lambda: passed[0], spawn=lambda work: work())
        issuer = ExternalIssuer(spec, cache, PLANS, now=lambda: NOW + passed[0])

        def token(by: Signer) -> jws.UnverifiedToken:
            issued = int(NOW + passed[0])
            claims = {"iss": ISSUER, "aud": "voice", "sub": "user-1", "iat": issued, "exp": issued + 600}
            return jws.read(by.token(claims))

        issuer.verify(token(KEY))
        server.status = 500
        for minute in range(61):
            passed[0] = minute * 60.0
            assert issuer.verify(token(KEY)).principal.subject == "user-1"
            if minute:
                with pytest.raises(Refusal) as refused:
                    issuer.verify(token(signer("new")))
                assert refused.value.code == "keys-unavailable"
        assert len(server.asked) <= 1 + 61
        server.publish("/keys", [KEY, signer("new")])
        server.status = 200
        passed[0] += 60
        assert issuer.verify(token(signer("new")))


def code(claims: dict[str, Any], **entry: Any) -> str:
    with pytest.raises(Refusal) as refused:
        verify(claims, **entry)
    return refused.value.code


def test_verified_token_has_issue_time_id_and_default_plan() -> None:
    verified = verify({"jti": "abc"})
    assert verified.issued_at == datetime.fromtimestamp(NOW - 60, UTC)
    assert verified.token_id == "abc"
    assert verify({}).token_id is None
    principal = verified.principal
    assert (principal.issuer, principal.subject, principal.name) == (ISSUER, "user-1", "user-1")
    assert (principal.plan, principal.roles) == ("default", frozenset())


@pytest.mark.parametrize(
    ("claims", "entry", "plan"),
    [
        ({"plan": "gold"}, {}, "default"),
        ({"plan": "gold"}, {"plan_claim": "plan"}, "gold"),
        ({"plan": "platinum"}, {"plan_claim": "plan"}, "default"),
        ({"plan": "GOLD"}, {"plan_claim": "plan"}, "default"),
        ({"plan": ["x", "gold"]}, {"plan_claim": "plan"}, "gold"),
        ({"plan": ["silver", "gold"]}, {"plan_claim": "plan"}, "gold"),
        ({"plan": {"gold": True}}, {"plan_claim": "plan"}, "default"),
        ({"plan": None}, {"plan_claim": "plan"}, "default"),
        ({"plan": 1}, {"plan_claim": "plan"}, "default"),
        ({"plan": "pro"}, {"plan_claim": "plan", "plans": {"pro": "gold"}}, "gold"),
        ({"plan": "gold"}, {"plan_claim": "plan", "plans": {"pro": "gold"}}, "default"),
        ({"plan": ["a", "b"]}, {"plan_claim": "plan", "plans": {"b": "silver", "a": "gold"}}, "silver"),
        ({"a": {"b": {"c": "gold"}}}, {"plan_claim": "a.b.c"}, "gold"),
        ({"a": {"b.c": "gold"}}, {"plan_claim": "a.b.c"}, "default"),
        ({"a": {"b.c": "gold"}}, {"plan_claim": ["a", "b.c"]}, "gold"),
        ({"a": "gold"}, {"plan_claim": "a.b"}, "default"),
        ({"https://app.example/plan": "gold"}, {"plan_claim": "https://app.example/plan"}, "gold"),
        ({"custom:plan": "gold"}, {"plan_claim": "custom:plan"}, "gold"),
    ],
)
def test_plan_comes_from_its_claim_if_it_is_known(
    claims: dict[str, Any], entry: dict[str, Any], plan: str
) -> None:
    assert verify(claims, **entry).principal.plan == plan


OPERATORS = {"operator_claim": "realm_access.roles", "operator_values": ["voice-operator"]}


@pytest.mark.parametrize(
    ("claims", "entry", "is_operator"),
    [
        ({"roles": ["operator"], "role": "operator"}, {}, False),
        ({"realm_access": {"roles": ["x", "voice-operator"]}}, OPERATORS, True),
        ({"realm_access": {"roles": "voice-operator"}}, OPERATORS, True),
        ({"realm_access": {"roles": ["operator"]}}, OPERATORS, False),
        ({"realm_access": {"roles": ["Voice-Operator"]}}, OPERATORS, False),
        ({"realm_access": {"roles": ["voice-operator2"]}}, OPERATORS, False),
        ({"realm_access": {"roles": "x voice-operator"}}, OPERATORS, False),
        ({"realm_access": {"roles": {"voice-operator": True}}}, OPERATORS, False),
        ({"realm_access": ["voice-operator"]}, OPERATORS, False),
        ({"realm_access.roles": ["voice-operator"]}, OPERATORS, False),
    ],
)
def test_only_the_named_claim_makes_an_operator(
    claims: dict[str, Any], entry: dict[str, Any], is_operator: bool
) -> None:
    assert verify(claims, **entry).principal.roles == ({"operator"} if is_operator else set())


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Ada", "Ada"), ("", "user-1"), ("A\0", "user-1"), (5, "user-1"), ("A" * 256, "user-1")],
)
def test_subject_replaces_a_name_that_cannot_be_shown(name: Any, shown: str) -> None:
    assert verify({"name": name}).principal.name == shown


@pytest.mark.parametrize(
    ("value", "wanted", "passes"),
    [
        ("a", "a", True), ("a", ["b", "a"], True), (["x", "a"], "a", True), ("anything", [], True),
        (True, True, True), (1, 1, True), (1, True, False), (True, 1, False), ("1", 1, False),
        (1.0, 1, False), (None, [], False), ("b", "a", False), ([], "a", False), ({"a": 1}, "a", False),
    ],
)  # fmt: skip
def test_required_claim_must_match_in_value_and_type(value: Any, wanted: Any, passes: bool) -> None:
    entry: dict[str, Any] = {"required_claims": {"c": wanted}}
    if passes:
        verify({"c": value}, **entry)
    else:
        assert code({"c": value}, **entry) == "invalid-token"


@pytest.mark.parametrize("leeway", [0, 30, 60])
def test_leeway_is_exact_to_the_second(leeway: int) -> None:
    end, start = {"exp": NOW, "iat": NOW - 60}, {"iat": NOW, "exp": NOW + 600}
    assert verify(end, now=NOW + leeway - 1, leeway_seconds=leeway)
    assert code(end, now=NOW + leeway, leeway_seconds=leeway) == "token-expired"
    assert verify(start, now=NOW - leeway, leeway_seconds=leeway)
    assert code(start, now=NOW - leeway - 1, leeway_seconds=leeway) == "invalid-token"
    late = {"nbf": NOW, "iat": NOW - 600}
    assert verify(late, now=NOW - leeway, leeway_seconds=leeway)
    assert code(late, now=NOW - leeway - 1, leeway_seconds=leeway) == "invalid-token"


def test_life_and_age_are_bounded_to_the_second() -> None:
    day = {"iat": NOW, "exp": NOW + 24 * 3600}
    assert verify(day)
    assert code({**day, "exp": day["exp"] + 1}) == "invalid-token"
    aged = {"max_age_seconds": 100, "leeway_seconds": 0}
    assert verify({"iat": NOW - 100}, **aged)
    assert code({"iat": NOW - 101}, **aged) == "token-expired"
