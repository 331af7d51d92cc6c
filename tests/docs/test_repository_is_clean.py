"""Committed files name no machine, no registry and nothing outside of the repository.

A lock with addresses would tie every user to one mirror; a path of one machine works only on that machine.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.docs.markdown import ROOT

# Spelt in pieces, so that the test does not find this file.
FORBIDDEN = {
    "a package registry": re.compile(
        "|".join(
            re.escape(name + "." + top)
            for name, top in [
                ("pypi", "org"),
                ("files.pythonhosted", "org"),
                ("registry.npmjs", "org"),
                ("registry.yarnpkg", "com"),
                ("deb.debian", "org"),
                ("archive.ubuntu", "com"),
            ]
        )
    ),
    "a path of one machine": re.compile(
        r"(?<![\w.$}-])/(?:" + "|".join(["work", "root", "home/[a-z]", "Users/[A-Za-z]"]) + r")\b"
    ),
}


def committed_texts() -> dict[str, str]:
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    texts = {}
    for name in filter(None, names):
        path = ROOT / name
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" not in data:
            texts[name] = data.decode()
    return texts


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_committed_file_names(what: str) -> None:
    texts = committed_texts()
    assert len(texts) > 50, "the list of files is read from git"
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert found == []


def test_no_committed_file_points_outside_of_the_repository() -> None:
    """`web/live/shared` is inside; a folder of this name beside the repository is not."""
    reference = re.compile(r"(?:\.\./)+" + "shared")
    found = [
        f"{name}: {path}"
        for name, text in committed_texts().items()
        for path in reference.findall(text)
        if not (ROOT / name).parent.joinpath(path).resolve().is_relative_to(ROOT)
    ]
    assert found == []


def test_python_locks_hold_only_pins_with_hashes() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text()
        pins = re.findall(
            r"^[a-z0-9][a-z0-9._-]*(?:\[[a-z0-9,_-]+\])?==\S+.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+",
            text,
            re.MULTILINE,
        )
        entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert len(entries) > 20
        assert len(pins) == len(entries), f"{lock.name}: an entry that is not name==version with hashes"


def test_npm_lock_holds_hashes_and_no_addresses() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    packages.pop("")
    assert len(packages) > 10
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []


def test_the_python_locks_agree() -> None:
    """A package has one version in all of them, so that the tested version is the deployed one."""
    locks = {
        name: set(re.findall(r"^([^ #\n]\S*)", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE))
        for name in ("production", "run", "test", "bench")
    }
    assert locks["production"] < locks["run"] < locks["test"]
    assert locks["bench"] & locks["test"], "packages that both have"
    shared = {pin.partition("==")[0] for pin in locks["bench"]} & {
        pin.partition("==")[0] for pin in locks["test"]
    }
    assert {pin for pin in locks["bench"] if pin.partition("==")[0] in shared} <= locks["test"]
    assert not [pin for pin in locks["production"] if pin.startswith("aiohttp==")], (
        "no stand-in in production"
    )
