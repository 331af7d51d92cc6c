"""`[[issuers]]`: mistakes in the entries are found at start."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from broker.settings import IssuerSpec, Settings, SettingsError, load

BASE = """
[plans.default]
rate = "10/minute"
sessions = 2
minutes_per_day = 60
session_minutes = 30
[profiles.default]
models = ["gemini-3.8-live"]
{profile}
[profiles.default.config]
seed = 1
"""
GOOD = {
    "name": '"x"', "issuer": '"https://id.example"', "audience": '"a"', "jwks_url": '"https://id.example/keys"',
}  # fmt: skip


def read(tmp_path: Path, *entries: dict[str, str | None], profile: str = "") -> Settings:
    """Each entry is GOOD with these keys changed. None removes a key."""
    text = BASE.format(profile=profile)
    for entry in entries:
        written = {key: value for key, value in {**GOOD, **entry}.items() if value is not None}
        text += "\n[[issuers]]\n" + "\n".join(f"{key} = {value}" for key, value in written.items())
    path = tmp_path / "broker.toml"
    path.write_text(text)
    environ = {"GEMINI_API_KEY": "AQ.test-0123456789", "BROKER_SECRET_KEY": secrets.token_hex(32)}
    return load({**environ, "BROKER_CONFIG": str(path)})


def spec(tmp_path: Path, **entry: str | None) -> IssuerSpec:
    return read(tmp_path, entry).config.issuers[0]


def test_defaults_of_a_minimal_entry(tmp_path: Path) -> None:
    minimal = spec(tmp_path)
    assert (minimal.kind, minimal.mode, minimal.algorithms, minimal.subject_claim) == (
        "oidc", "enforce", ("RS256",), ("sub",),
    )  # fmt: skip
    assert (minimal.leeway_seconds, minimal.max_life_seconds, minimal.max_age_seconds) == (30, 86400, None)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ('"plan"', ("plan",)),
        ('"realm_access.roles"', ("realm_access", "roles")),
        ('"https://app.example/plan"', ("https://app.example/plan",)),
        ('"custom:plan"', ("custom:plan",)),
        ('["resource_access", "my.client", "roles"]', ("resource_access", "my.client", "roles")),
    ],
)
def test_claim_path_is_parsed(tmp_path: Path, written: str, path: tuple[str, ...]) -> None:
    assert spec(tmp_path, plan_claim=written).plan_claim == path


def test_single_value_becomes_a_list(tmp_path: Path) -> None:
    entry = spec(
        tmp_path, audience='["a", "b"]', typ='"at+jwt"', required_claims='{ a = "x", b = [true, 1], c = [] }'
    )
    assert (entry.audience, entry.typ) == (("a", "b"), ("at+jwt",))
    assert entry.required_claims == {"a": ("x",), "b": (True, 1), "c": ()}


WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "no issuer": ({"issuer": None}, "issuer: is missing"),
    "plain http": ({"issuer": '"http://id.example"'}, "issuer: must be an https"),
    "endless issuer": ({"issuer": f'"https://id.example/{"x" * 255}"'}, "issuer: "),
    "an issuer that is our own": ({"issuer": '"live-broker"'}, "issuer: must be an https"),
    "issuer with a fragment": ({"issuer": '"https://id.example/#x"'}, "issuer: must be an https"),
    "issuer with a user": ({"issuer": '"https://me@id.example/"'}, "issuer: must be an https"),
    "no audience": ({"audience": None}, "audience: is missing"),
    "no audience in the list": ({"audience": "[]"}, "audience: is missing"),
    "empty audience": ({"audience": '""'}, "audience"),
    "no keys": ({"jwks_url": None}, "jwks_url: set either"),
    "keys twice": ({"discover": "true"}, "jwks_url: set either"),
    "keys by file": ({"jwks_url": '"file:///etc/passwd"'}, "jwks_url: must be an https"),
    "keys inside": ({"jwks_url": '"https://10.0.0.1/keys"'}, "jwks_url: is a private address"),
    "keys at the metadata service": ({"jwks_url": '"https://169.254.169.254/k"'}, "jwks_url: is a private"),
    "keys inside, IPv6": ({"jwks_url": '"https://[fd00::1]/keys"'}, "jwks_url: is a private address"),
    "keys inside, NAT64": ({"jwks_url": '"https://[64:ff9b::a00:1]/keys"'}, "jwks_url: is a private address"),
    "keys inside, 6to4": ({"jwks_url": '"https://[2002:a00:1::]/keys"'}, "jwks_url: is a private address"),
    "symmetric": ({"algorithms": '["HS256"]'}, "algorithms: only asymmetric"),
    "symmetric beside a good one": ({"algorithms": '["RS256", "HS256"]'}, "algorithms: only asymmetric"),
    "none": ({"algorithms": '["none"]'}, "algorithms: only asymmetric"),
    "no algorithm": ({"algorithms": "[]"}, "algorithms"),
    "mode": ({"mode": '"off"'}, "mode"),
    "kind": ({"kind": '"saml"'}, "kind"),
    "leeway": ({"leeway_seconds": "61"}, "leeway_seconds"),
    "negative leeway": ({"leeway_seconds": "-1"}, "leeway_seconds"),
    "life": ({"max_life_seconds": "2592001"}, "max_life_seconds"),
    "life as a float": ({"max_life_seconds": "3600.0"}, "max_life_seconds"),
    "age": ({"max_age_seconds": "0"}, "max_age_seconds"),
    "unknown plan": ({"plan_claim": '"p"', "plans": '{ a = "gold" }'}, "plans: there is no plan 'gold'"),
    "plans for nothing": ({"plans": '{ a = "default" }'}, "plans: needs plan_claim"),
    "operators of any value": ({"operator_claim": '"roles"'}, "operator_claim: must be set together"),
    "operators of no claim": ({"operator_values": '"x"'}, "operator_claim: must be set together"),
    "plan from the user": ({"plan_claim": '"user_metadata.plan"'}, "plan_claim: is a claim that users"),
    "role from the user": (
        {"operator_claim": '"unsafe_metadata.role"', "operator_values": '"x"'},
        "operator_claim: is a claim that users",
    ),
    "subject from the user": ({"subject_claim": '"user_metadata.id"'}, "subject_claim: is a claim"),
    "empty path": ({"plan_claim": '"a..b"'}, "plan_claim"),
    "deep path": ({"plan_claim": '"a.b.c.d.e.f.g.h.i"'}, "plan_claim"),
    "claim as a float": ({"required_claims": "{ a = 1.5 }"}, "required_claims"),
    "one claim for bearers and for all": (
        {"required_claims": '{ a = "x" }', "bearer_claims": '{ a = "y" }'},
        "bearer_claims: 'a' is in required",
    ),
    "rules for ID tokens without sign-in": (
        {"id_token_claims": '{ a = "x" }'}, "id_token_claims: needs client_id",
    ),
    "attestation with a plan": ({"kind": '"attestation"', "plan_claim": '"p"'}, "kind: an attestation"),
    "attestation on trial": ({"kind": '"attestation"', "mode": '"audit"'}, "kind: an attestation"),
    "a misspelt key": ({"audiences": '"a"'}, "audiences: is not a known key"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_fault_names_its_place(tmp_path: Path, name: str) -> None:
    entry, fault = WRONG[name]
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, entry)
    assert any(text.startswith(f"broker.toml: issuers.0.{fault}") for text in raised.value.faults), (
        raised.value.faults
    )


def test_audience_is_optional_with_authorized_parties(tmp_path: Path) -> None:
    assert spec(tmp_path, audience=None, authorized_parties='"app"').audience == ()


def test_private_network_allows_a_private_address(tmp_path: Path) -> None:
    inside = spec(tmp_path, jwks_url='"https://10.0.0.1/keys"', private_network="true")
    assert inside.private_network


def test_second_entry_for_an_issuer_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, {}, {"name": '"y"'})
    assert raised.value.faults == [
        "broker.toml: issuers.1.issuer: already has an entry; exactly one entry must apply to a token"
    ]
    read(tmp_path, {}, {"name": '"y"', "kind": '"attestation"'})


def test_attestation_in_a_profile_needs_an_attestation_issuer(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, {}, profile='attestation = "monitor"')
    assert raised.value.faults == [
        "broker.toml: profiles.default.attestation: there is no issuer of kind attestation"
    ]
    read(tmp_path, {"kind": '"attestation"'}, profile='attestation = "enforce"')
