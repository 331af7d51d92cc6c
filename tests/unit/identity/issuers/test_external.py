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
PERSIAN = "علی\N{ZERO WIDTH NON-JOINER}رضا"


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


def refusal(claims: dict[str, Any], **entry: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        verify(claims, **entry)
    return refused.value


def code(claims: dict[str, Any], **entry: Any) -> str:
    return refusal(claims, **entry).code


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


@pytest.mark.parametrize(
    ("claims", "entry", "team"),
    [
        ({"org": "acme"}, {}, None),
        ({}, {"team_claim": "org"}, None),
        ({"org": None}, {"team_claim": "org"}, None),
        ({"org": "acme"}, {"team_claim": "org"}, "acme"),
        ({"org": ["acme"]}, {"team_claim": "org"}, "acme"),
        ({"a": {"org_id": "org_2bX:9"}}, {"team_claim": "a.org_id"}, "org_2bX:9"),
    ],
)
def test_team_comes_from_its_claim(claims: dict[str, Any], entry: dict[str, Any], team: str | None) -> None:
    found = verify(claims, **entry).principal.team
    assert (found and found.subject) == team


@pytest.mark.parametrize(
    "team", ["", " ", "a b", "/acme", "x" * 65, "a\n", 7, True, [], ["a", "b"], {"a": 1}]
)
def test_token_whose_team_has_no_valid_name_is_refused(team: Any) -> None:
    """Without a team, its bearer would escape the limits of the team."""
    assert code({"org": team}, team_claim="org") == "invalid-token"


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
    [
        ("Ada", "Ada"), ("", "user-1"), ("A\0", "user-1"), (5, "user-1"), ("A" * 256, "user-1"),
        (" ", "user-1"), ("\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}", "user-1"), (PERSIAN, PERSIAN),
        ("Jean\N{NO-BREAK SPACE}Luc", "Jean\N{NO-BREAK SPACE}Luc"),
    ],
)  # fmt: skip
def test_subject_replaces_a_name_that_cannot_be_shown(name: Any, shown: str) -> None:
    assert verify({"name": name}).principal.name == shown


@pytest.mark.parametrize(
    "subject",
    [
        PERSIAN, "山田\N{IDEOGRAPHIC SPACE}太郎", "a\N{NO-BREAK SPACE}b", "a\N{ZERO WIDTH JOINER}b",
        "a\N{RIGHT-TO-LEFT MARK}b", "a\N{LINE SEPARATOR}b",
        "\N{MAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",
        "a\ue000b", "a" * 255,
    ],
    ids=ascii,
)  # fmt: skip
def test_every_text_without_controls_is_a_subject(subject: str) -> None:
    assert verify({"sub": subject}).principal.subject == subject
    assert verify({"jti": subject}).token_id == subject


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "a\0",
        "a\nb",
        "\x1b[2J",
        "a\x7f",
        "a\x85b",
        "a\u202eb",
        "a\u2066b",
        "a\ud800b",
        "\udc00",
        "a" * 256,
        5,
    ],
    ids=ascii,
)
def test_controls_and_lone_surrogates_are_no_subject(subject: Any) -> None:
    assert code({"sub": subject}) == "invalid-token"
    assert code({"jti": subject}) == "invalid-token"


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


@pytest.mark.parametrize("claim", ["scp", "scope"])
@pytest.mark.parametrize(
    ("value", "passes"),
    [
        ("voice", True), ("voice Files.Read", True), ("openid  voice ", True), (["voice", "x"], True),
        ("voices", False), ("Voice", False), ("x:voice", False), ("a voice.b", False), ("", False),
        ("a\tvoice", False), ("a,voice", False), ("a\N{NO-BREAK SPACE}voice", False),
        ({"voice": True}, False),
    ],
    ids=ascii,
)  # fmt: skip
def test_scopes_are_separated_by_spaces(claim: str, value: Any, passes: bool) -> None:
    entry: dict[str, Any] = {"required_claims": {claim: "voice"}}
    assert verify({claim: value}, **entry) if passes else code({claim: value}, **entry) == "invalid-token"


def test_scope_can_give_a_role_and_a_plan() -> None:
    entry: dict[str, Any] = {"operator_claim": "scope", "operator_values": ["admin"], "plan_claim": "scope"}
    principal = verify({"scope": "openid gold admin"}, **entry).principal
    assert (principal.plan, principal.roles) == ("gold", frozenset({"operator"}))
    assert verify({"scope": "openid golden admins"}, **entry).principal.roles == set()


def test_all_scopes_in_one_string_match_an_entry_that_lists_them_so() -> None:
    assert verify({"scp": "a b"}, required_claims={"scp": "a b"})


def test_other_claims_are_not_split() -> None:
    assert code({"roles": "a voice"}, required_claims={"roles": "voice"}) == "invalid-token"


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"scp": "x"}, "scp"), ({"aud": "other"}, "aud"), ({"iss": "other"}, "iss"), ({"sub": ""}, "subject"),
        ({"azp": "x", "scp": "voice"}, "azp"), ({"exp": "1"}, "exp"), ({"iat": NOW + 100}, "iat"),
        ({"jti": ""}, "jti"), ({"exp": NOW + 10**7}, "exp"),
    ],
)  # fmt: skip
def test_refusal_names_the_claim_that_failed(claims: dict[str, Any], named: str) -> None:
    entry = {"required_claims": {"scp": "voice"}, "authorized_parties": ["app"]}
    reason = refusal({"scp": "voice", "azp": "app", **claims}, **entry).reason
    assert reason is not None
    assert named in reason.replace(":", " ").split()


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


@pytest.mark.parametrize("named", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("configured", ["EdDSA", "Ed25519"])
def test_eddsa_is_accepted_by_both_of_its_names(named: str, configured: str) -> None:
    """RFC 9864 deprecates `EdDSA`, so providers change to the other name in header, key and instructions."""
    okp = signer("okp", "EdDSA")
    written = {"name": "test", "issuer": ISSUER, "audience": "voice", "jwks_url": "https://id.example/keys"}
    spec = IssuerSpec.model_validate({**written, "algorithms": [configured, "ES256"]})
    published = {"keys": [okp.jwk(alg=named)]}
    cache = KeyCache("test", lambda: parse(published, spec.algorithms), spawn=lambda work: work())
    issuer = ExternalIssuer(spec, cache, PLANS, now=lambda: NOW)
    good = {"iss": ISSUER, "aud": "voice", "sub": "user-1", "iat": NOW - 60, "exp": NOW + 600}
    assert issuer.verify(jws.read(okp.token(good, alg=named))).principal.subject == "user-1"
    for wrong in ("Ed448", "ed25519", "ES256"):
        with pytest.raises(Refusal):
            issuer.verify(jws.read(okp.token(good, alg=wrong)))


def test_life_and_age_are_bounded_to_the_second() -> None:
    day = {"iat": NOW, "exp": NOW + 24 * 3600}
    assert verify(day)
    assert code({**day, "exp": day["exp"] + 1}) == "invalid-token"
    aged = {"max_age_seconds": 100, "leeway_seconds": 0}
    assert verify({"iat": NOW - 100}, **aged)
    assert code({"iat": NOW - 101}, **aged) == "token-expired"
