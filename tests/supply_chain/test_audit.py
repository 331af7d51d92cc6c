"""The audit of vulnerabilities never says that nothing is known if nothing was looked up."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.supply_chain.audit import (
    KNOWN,
    NONE_KNOWN,
    NOT_LOOKED_UP,
    Verdict,
    read_npm_audit,
    read_pip_audit,
    report,
)
from tests.supply_chain.locks import ROOT

GOOD = {"name": "flask", "version": "3.1.3", "vulns": []}
BAD = {"name": "jwt", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}]}
SKIPPED = {"name": "flask", "skip_reason": "Dependency not found and could not be audited: flask (3.1.3)"}
NPM_GOOD = {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 140}}}
NPM_BAD = {**NPM_GOOD, "vulnerabilities": {"esbuild": {"severity": "high", "range": "<1"}}}


def pip_audit(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (read_pip_audit(pip_audit(GOOD)), NONE_KNOWN),
        (read_pip_audit(pip_audit(GOOD, BAD)), KNOWN),
        (read_pip_audit(pip_audit(BAD, SKIPPED)), KNOWN),
        (read_pip_audit(pip_audit(GOOD, SKIPPED)), NOT_LOOKED_UP),
        (read_pip_audit(pip_audit()), NOT_LOOKED_UP),
        (read_pip_audit(""), NOT_LOOKED_UP),
        (read_pip_audit("Traceback"), NOT_LOOKED_UP),
        (read_npm_audit(json.dumps(NPM_GOOD)), NONE_KNOWN),
        (read_npm_audit(json.dumps(NPM_BAD)), KNOWN),
        (read_npm_audit(json.dumps({"message": "405", "error": {"summary": ""}})), NOT_LOOKED_UP),
        (read_npm_audit(""), NOT_LOOKED_UP),
    ],
)
def test_verdict(verdict: Verdict, code: int) -> None:
    assert verdict.exit_code == code


def test_report_prints_no_number_without_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    good, unreachable = read_npm_audit(json.dumps(NPM_GOOD)), read_pip_audit("")
    assert report({"npm": good, "Python": unreachable}) == NOT_LOOKED_UP
    npm, python = capsys.readouterr().out.splitlines()
    assert npm == "npm: 140 packages looked up, no known vulnerability"
    assert python.startswith("Python: NOT LOOKED UP")
    assert report({"npm": read_npm_audit(json.dumps(NPM_BAD)), "Python": unreachable}) == KNOWN


@pytest.mark.long
def test_unreachable_databases_have_an_exit_code_of_their_own() -> None:
    """Through a proxy that does not exist, with the real tools."""
    proxy = dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "npm_config_https_proxy"), "http://127.0.0.1:9"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.supply_chain.audit"],
        cwd=ROOT, env={**os.environ, **proxy, "npm_config_fetch_retries": "0"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == NOT_LOOKED_UP, done.stdout + done.stderr
    assert done.stdout.count("NOT LOOKED UP") == 2
