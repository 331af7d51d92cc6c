"""Passwords: Argon2id through argon2-cffi, with the library's own current parameters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from broker.errors import Refusal

MIN_LENGTH = 8
MAX_LENGTH = 256  # hashing is work that anybody may ask for: bound it

_hasher = PasswordHasher()
# Each hash takes 64 MB and a core for a while, and anybody may ask for one by trying to sign in.
_AT_ONCE = 2
_LONGEST_WAIT_SECONDS = 4
_turns = threading.BoundedSemaphore(_AT_ONCE)


def hash_password(password: str) -> str:
    with _turn():
        return _hasher.hash(password)


def verify(password: str, password_hash: str | None) -> bool:
    """Whether they match. With no hash (no such user) the same work is done, so that time tells nothing."""
    with _turn():
        try:
            _hasher.verify(password_hash or _nobodys_hash(), password)
        except (Argon2Error, InvalidHashError):
            return False
    return password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    return _hasher.check_needs_rehash(password_hash)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=_LONGEST_WAIT_SECONDS):
        raise Refusal("busy", "Too many people are signing in at the moment.", retry_after_seconds=2)
    try:
        yield
    finally:
        _turns.release()


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("no user has this password")
