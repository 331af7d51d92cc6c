"""Passwords: Argon2id through argon2-cffi, with the library's own current parameters."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from broker.errors import Refusal

MIN_LENGTH = 8
MAX_LENGTH = 256  # anyone can make the broker hash a password, so limit the work

_hasher = PasswordHasher()
# Anyone can send a password, and each check uses 64 MiB. So a process checks two at a time, and only a few
# threads wait for their turn.
_turns = threading.BoundedSemaphore(2)
_WAIT_SECONDS = 1.5
# More callers than these are refused at once, because each waiting caller holds a thread.
_waiting = threading.BoundedSemaphore(6)


def use_hasher(hasher: PasswordHasher) -> None:
    """Replaces the hasher of this process. Only tests call it, because hashing at full cost is slow."""
    global _hasher
    _hasher = hasher


def hash_password(password: str) -> str:
    with _turn():
        return _hasher.hash(_normalize(password))


def verify(password: str, password_hash: str | None) -> bool:
    """Whether they match.

    Without a hash (unknown user) it does the same work, so that timing reveals nothing.
    """
    against = password_hash or _hash_of_nothing()
    with _turn():
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


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(blocking=False) and not _wait_for_turn():
        raise Refusal("busy", reason="too many password checks at once")
    try:
        yield
    finally:
        _turns.release()


def _wait_for_turn() -> bool:
    """Whether a turn came in time. False at once if too many callers already wait."""
    if not _waiting.acquire(blocking=False):
        return False
    try:
        return _turns.acquire(timeout=_WAIT_SECONDS)
    finally:
        _waiting.release()
