"""The locks as data: what is installed, in which version, with which hashes and under which licence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# How packages without an SPDX expression name their licence.
_SPDX = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True)
class Locked:
    """`elsewhere`: the package is for another platform or another version of Python."""

    name: str
    version: str
    hashes: tuple[str, ...]
    elsewhere: bool

    @property
    def installed(self) -> Distribution:
        """Raises PackageNotFoundError."""
        return distribution(self.name)

    @property
    def licence(self) -> str:
        """An SPDX expression; "unknown" if the package does not say or is not installed."""
        try:
            return licence_of(self.installed)
        except PackageNotFoundError:
            return "unknown"


def python_lock(name: str) -> list[Locked]:
    """`name`: production, run, test or bench."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [_locked(entry) for entry in entries if entry.strip()]


def _locked(entry: str) -> Locked:
    requirement = Requirement(entry.partition("\\")[0].strip())
    (version,) = (one.version for one in requirement.specifier)
    elsewhere = requirement.marker is not None and not requirement.marker.evaluate()
    return Locked(requirement.name, version, tuple(_HASH.findall(entry)), elsewhere)


def licence_of(package: Distribution) -> str:
    metadata = package.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    if classifiers:
        return " OR ".join(_SPDX.get(one, one) for one in classifiers)
    written = metadata["License"] or ""
    return written if written and "\n" not in written and len(written) < 60 else "unknown"


def npm_licences() -> dict[str, str]:
    """The licence of each locked npm package, those for other platforms included."""
    lock = json.loads((ROOT / "package-lock.json").read_text())
    return {
        path.rpartition("node_modules/")[2]: str(entry.get("license", "unknown"))
        for path, entry in lock["packages"].items()
        if path
    }


def is_allowed(expression: str, allowed: Iterable[str]) -> bool:
    """Whether one of its alternatives asks for nothing but allowed licences. Parentheses are not read."""
    known = set(allowed)
    return any(set(option.split(" AND ")) <= known for option in expression.split(" OR "))
