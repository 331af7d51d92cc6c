"""Passwords are hashed at Argon2's full cost. The other tests hash cheaply, see tests/conftest.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from argon2 import (
    DEFAULT_MEMORY_COST,
    DEFAULT_PARALLELISM,
    DEFAULT_TIME_COST,
    PasswordHasher,
    extract_parameters,
    profiles,
)

from broker.identity import passwords

BROKER = Path(__file__).parents[3] / "broker"
PASSWORD = "correct horse battery"
FULL_COST = f"$argon2id$v=19$m={DEFAULT_MEMORY_COST},t={DEFAULT_TIME_COST},p={DEFAULT_PARALLELISM}$"


def test_broker_hashes_passwords_at_full_cost() -> None:
    """In a new process, where nothing has replaced the hasher."""
    script = f"from broker.identity import passwords; print(passwords.hash_password({PASSWORD!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BROKER.parent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(FULL_COST)


def test_full_cost_is_what_rfc_9106_recommends() -> None:
    recommended = profiles.RFC_9106_LOW_MEMORY
    assert recommended.memory_cost == DEFAULT_MEMORY_COST
    assert recommended.time_cost == DEFAULT_TIME_COST
    assert recommended.parallelism == DEFAULT_PARALLELISM


def test_no_module_of_the_broker_replaces_the_hasher() -> None:
    calls = re.compile(r"(?<!def )\buse_hasher\b")
    assert [path for path in BROKER.rglob("*.py") if calls.search(path.read_text())] == []


def test_hash_with_other_parameters_verifies_and_needs_a_rehash() -> None:
    password_hash = PasswordHasher().hash(PASSWORD)
    assert passwords.verify(PASSWORD, password_hash)
    assert not passwords.verify("another password", password_hash)
    assert passwords.needs_rehash(password_hash)
    assert not passwords.needs_rehash(passwords.hash_password(PASSWORD))


@pytest.mark.parametrize("password_hash", [None, "", "no hash", "$argon2id$v=19$m=65536,t=3,p=4$a$b"])
def test_verify_returns_false_for_missing_or_broken_hash(password_hash: str | None) -> None:
    assert not passwords.verify(PASSWORD, password_hash)


def test_unknown_user_costs_a_full_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the time of the answer would tell which names exist."""
    checked = []

    class Recording(PasswordHasher):
        def verify(self, *given: str | bytes) -> Literal[True]:
            checked.append(extract_parameters(str(given[0])))
            return super().verify(*given)

    monkeypatch.setattr(passwords, "_hasher", Recording())
    assert not passwords.verify(PASSWORD, None)
    assert checked == [extract_parameters(PasswordHasher().hash(PASSWORD))]


def test_composed_and_decomposed_letters_are_one_password() -> None:
    password_hash = passwords.hash_password("cafe\N{COMBINING ACUTE ACCENT} au lait")
    assert passwords.verify("caf\N{LATIN SMALL LETTER E WITH ACUTE} au lait", password_hash)
