"""Every locked package has a licence of the list in pyproject.toml, or is named there with its licence."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError

import pytest

from tests.supply_chain.locks import ROOT, is_allowed, npm_licences, python_lock

RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["licences"]


def refused(licences: dict[str, str]) -> dict[str, str]:
    return {
        name: licence
        for name, licence in licences.items()
        if not is_allowed(licence, RULES["allowed"]) and RULES["packages"].get(name) != licence
    }


def test_python_packages() -> None:
    found, missing = {}, []
    for locked in python_lock("test"):
        if locked.elsewhere:
            continue
        try:
            assert locked.installed.version == locked.version, f"{locked.name}: run make setup"
            found[locked.name] = locked.licence
        except PackageNotFoundError:
            missing.append(locked.name)
    assert missing == [], "run make setup"
    assert len(found) > 100
    assert refused(found) == {}


def test_packages_of_the_benchmark_that_are_installed() -> None:
    found = {one.name: one.licence for one in python_lock("bench") if not one.elsewhere}
    installed = {name: licence for name, licence in found.items() if licence != "unknown"}
    assert len(installed) > 10, "those that the tests use, too"
    assert refused(installed) == {}


def test_npm_packages() -> None:
    found = npm_licences()
    assert len(found) > 50
    assert refused(found) == {}


def test_named_packages_are_in_use() -> None:
    locked = {one.name for one in python_lock("test")} | set(npm_licences())
    assert set(RULES["packages"]) <= locked


def test_every_package_has_hashes() -> None:
    assert [one.name for one in python_lock("test") if not one.hashes] == []


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT AND Zlib", True),
        ("AGPL-3.0-or-later", False),
        ("unknown", False),
        ("(MIT OR GPL-3.0-only) AND Zlib", False),
        ("", False),
    ],
)
def test_expressions(expression: str, allowed: bool) -> None:
    assert is_allowed(expression, ["MIT", "Zlib"]) is allowed
