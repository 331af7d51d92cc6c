"""The bill of materials holds exactly the locked packages of a deployment, and matches its schema."""

from __future__ import annotations

import json

from tests.supply_chain.locks import python_lock
from tests.supply_chain.sbom import build


def test_bill_holds_the_lock() -> None:
    document = json.loads(build())
    lock = {one.name: one for one in python_lock("production")}
    found = {one["name"]: one for one in document["components"]}
    assert {name: one["version"] for name, one in found.items()} == {
        name: one.version for name, one in lock.items()
    }
    for name, one in found.items():
        assert sorted(each["content"] for each in one["hashes"]) == sorted(lock[name].hashes)
    unknown = [
        name
        for name, one in found.items()
        if "expression" not in one["licenses"][0] and not lock[name].elsewhere
    ]
    assert unknown == []


def test_every_package_is_asked_for_by_another() -> None:
    """Only packages for other platforms have no edge, because what asks for them cannot be read here."""
    document = json.loads(build())
    edges = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    asked = {ref for refs in edges.values() for ref in refs}
    lone = {one.name for one in python_lock("production") if f"{one.name}=={one.version}" not in asked}
    assert lone <= {one.name for one in python_lock("production") if one.elsewhere}
    assert len(edges["live-broker"]) > 15
