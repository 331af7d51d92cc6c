"""The catalog: who may use which profile, and which is meant when none is named."""

from __future__ import annotations

import pytest

from broker.errors import Refusal
from broker.profiles.catalog import Catalog
from broker.profiles.profile import Profile

FREE = Profile(name="default")
GOLD = Profile(name="gold", plans=frozenset({"gold", "staff"}))


def test_the_default_is_the_one_called_default() -> None:
    assert Catalog([GOLD, FREE]).get().name == "default"
    assert Catalog([GOLD, FREE]).get(None) is FREE


def test_the_only_profile_is_the_default_whatever_its_name() -> None:
    assert Catalog([GOLD]).get() is GOLD


@pytest.mark.parametrize("name", ["nobody", "", "Default", "default ", "__class__"])
def test_an_unknown_name_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(Refusal) as raised:
        Catalog([FREE]).get(name)
    assert raised.value.code == "profile-unknown"
    assert raised.value.detail is None


def test_a_plan_sees_its_own_profiles_and_the_open_ones() -> None:
    catalog = Catalog([FREE, GOLD])
    assert catalog.for_plan("default") == [FREE]
    assert catalog.for_plan("gold") == [FREE, GOLD]
    assert not GOLD.allows("*")


def test_an_empty_catalog_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="needs a profile"):
        Catalog([])
