"""The catalog: who may use which profile, and which profile is the default."""

from __future__ import annotations

import pytest

from broker.errors import Refusal
from broker.principal import Principal, end_user
from broker.profiles.catalog import Catalog
from broker.profiles.profile import Profile, ProfileSpec

FREE = Profile(name="default")
GOLD = Profile(name="gold", plans=frozenset({"gold", "staff"}))


def on_plan(plan: str, *, profiles: frozenset[str] | None = None) -> Principal:
    return Principal("live-broker", "alice", "alice", plan, profiles=profiles)


def test_profile_named_default_is_the_default() -> None:
    assert Catalog([GOLD, FREE]).get().name == "default"
    assert Catalog([GOLD, FREE]).get(None) is FREE


def test_single_profile_is_the_default() -> None:
    assert Catalog([GOLD]).get() is GOLD


@pytest.mark.parametrize("name", ["nobody", "", "Default", "default ", "__class__"])
def test_unknown_name_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(Refusal) as raised:
        Catalog([FREE]).get(name)
    assert raised.value.code == "profile-unknown"
    assert raised.value.detail is None


def test_plan_allows_its_own_and_the_open_profiles() -> None:
    catalog = Catalog([FREE, GOLD])
    assert catalog.open_to(on_plan("default")) == [FREE]
    assert catalog.open_to(on_plan("gold")) == [FREE, GOLD]
    assert not GOLD.allows("*")


def test_list_of_profiles_only_restricts_the_plan() -> None:
    catalog = Catalog([FREE, GOLD])
    narrowed = on_plan("default", profiles=frozenset({"gold"}))
    assert catalog.open_to(narrowed) == []
    assert catalog.open_to(on_plan("gold", profiles=frozenset({"gold"}))) == [GOLD]
    for name in ("default", "gold"):
        with pytest.raises(Refusal) as raised:
            catalog.admit(name, narrowed)
        assert raised.value.code == "profile-forbidden"


def test_service_key_decides_for_its_users() -> None:
    catalog = Catalog([FREE, GOLD])
    user = end_user(on_plan("gold", profiles=frozenset({"gold"})), "u-1")
    assert user.plan == "default"
    assert catalog.open_to(user) == [GOLD]
    assert catalog.admit("gold", user) is GOLD


def test_empty_catalog_is_rejected() -> None:
    with pytest.raises(ValueError, match="needs at least one profile"):
        Catalog([])


@pytest.mark.parametrize(
    ("config", "voice"),
    [
        ({}, None),
        ({"speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}}}, "Kore"),
        ({"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}}}, "Puck"),
        ({"speech_config": {"language_code": "en-US"}}, None),
        ({"speech_config": {"voice_config": {"replicated_voice_config": {"mime_type": "audio/pcm"}}}}, None),
    ],
)
def test_profile_returns_its_configured_voice(config: dict[str, object], voice: str | None) -> None:
    assert Profile(name="any", config=config).voice == voice


def test_profile_has_no_key_that_makes_tokens_differ_between_callers() -> None:
    """Warm tokens are minted before their caller is known.

    A new key of a profile belongs here if it is the same for every caller. If it is not, a profile with that
    key must be refused together with `warm`.
    """
    assert ProfileSpec.model_fields.keys() == {
        "description", "models", "plans", "lock", "slice_seconds", "connect_within_seconds", "lock_also",
        "attestation", "config", "show_cost", "warm",
    }  # fmt: skip
