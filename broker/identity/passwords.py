"""Passwords: Argon2id through argon2-cffi, with the library's own current parameters."""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from broker.identity.turns import Turns

MIN_LENGTH = 8
MAX_LENGTH = 256  # anyone can make the broker hash a password, so limit the work

_hasher = PasswordHasher()
# A process checks two passwords at a time, because each takes 64 MiB. One account has at most one of the two
# turns and two of the six waiting places, so that no account can keep the others from signing in. Eight
# seconds leave two for the rest of the request.
_turns = Turns(at_once=2, waiting=6, waiting_per_account=2, wait_seconds=8.0)


def use_hasher(hasher: PasswordHasher) -> None:
    """Replaces the hasher of this process. Only tests call it, because hashing at full cost is slow."""
    global _hasher
    _hasher = hasher


def hash_password(password: str, account: str | None = None) -> str:
    """Refuses `busy`. The work for one `account` takes turns, as in `verify`."""
    with _turns.turn(account):
        return _hasher.hash(_normalize(password))


def verify(password: str, password_hash: str | None, account: str | None = None) -> bool:
    """Whether they match. Refuses `busy`.

    Without a hash (unknown user) it does the same work, so that timing reveals nothing. The checks of one
    `account` wait for each other.
    """
    against = password_hash or _hash_of_nothing()
    with _turns.turn(account):
        try:
            _hasher.verify(against, _normalize(password))
        except (Argon2Error, InvalidHashError):
            return False
    return password_hash is not None


def _normalize(password: str) -> str:
    """Normalizes to NFC (RFC 8265), because keyboards compose letters differently."""
    return unicodedata.normalize("NFC", password)


def needs_rehash(password_hash: str) -> bool:
    return _hasher.check_needs_rehash(password_hash)


def _hash_of_nothing() -> str:
    """A well-formed hash at today's cost. Its digest is 32 zero bytes, which no password has."""
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${cost}${'A' * 22}${'A' * 43}"
