"""`make audit`: asks the databases of known vulnerabilities about every locked package.

Exit codes: 0: every package was looked up, and nothing is known against any. 1: a vulnerability is known.
3: a database did not answer, or does not know a package. Then no number is printed, because "0 found" would
be a lie.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.supply_chain.locks import ROOT

NONE_KNOWN, KNOWN, NOT_LOOKED_UP = 0, 1, 3
_SECONDS = 300
_PYTHON = (
    sys.executable, "-m", "pip_audit", "--requirement", "requirements/test.txt", "--require-hashes",
    "--disable-pip", "--format", "json", "--progress-spinner", "off",
)  # fmt: skip
_NPM = ("npm", "audit", "--json")


@dataclass
class Verdict:
    """What one database said. `looked_up`: how many packages it knows."""

    looked_up: int = 0
    vulnerabilities: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        if self.vulnerabilities:
            return KNOWN
        return NOT_LOOKED_UP if self.problems or not self.looked_up else NONE_KNOWN


def read_pip_audit(output: str) -> Verdict:
    document = _parsed(output)
    if not isinstance(document, dict) or "dependencies" not in document:
        return Verdict(problems=["pip-audit got no answer from the vulnerability database"])
    verdict = Verdict()
    skipped = []
    for package in document["dependencies"]:
        if "skip_reason" in package:
            skipped.append(package["name"])
            continue
        verdict.looked_up += 1
        for one in package["vulns"]:
            fixed = ", ".join(one["fix_versions"]) or "no version"
            verdict.vulnerabilities.append(
                f"{package['name']} {package['version']}: {one['id']}, fixed in {fixed}"
            )
    if skipped:
        verdict.problems.append(f"{len(skipped)} packages were not found in it: {', '.join(skipped[:5])} …")
    return verdict


def read_npm_audit(output: str) -> Verdict:
    document = _parsed(output)
    if not isinstance(document, dict) or "vulnerabilities" not in document:
        return Verdict(problems=["npm got no answer from the registry's list of advisories"])
    found = [
        f"{name}: {one['severity']}, versions {one['range']}"
        for name, one in document["vulnerabilities"].items()
    ]
    return Verdict(int(document["metadata"]["dependencies"]["total"]), found)


def _parsed(output: str) -> Any:
    try:
        return json.loads(output)
    except ValueError:
        return None


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def report(verdicts: dict[str, Verdict]) -> int:
    """Prints the verdicts; returns the exit code."""
    for name, verdict in verdicts.items():
        for text in verdict.vulnerabilities:
            print(f"{name}: VULNERABLE: {text}")
        for text in verdict.problems:
            print(f"{name}: NOT LOOKED UP: {text}")
        if verdict.exit_code == NONE_KNOWN:
            print(f"{name}: {verdict.looked_up} packages looked up, no known vulnerability")
    codes = {verdict.exit_code for verdict in verdicts.values()}
    return KNOWN if KNOWN in codes else NOT_LOOKED_UP if NOT_LOOKED_UP in codes else NONE_KNOWN


def main() -> int:
    return report({"Python": read_pip_audit(_output(_PYTHON)), "npm": read_npm_audit(_output(_NPM))})


if __name__ == "__main__":
    sys.exit(main())
