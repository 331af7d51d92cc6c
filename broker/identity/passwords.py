"""Passwords: Argon2id through argon2-cffi, with the library's own current parameters."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from broker.errors import Refusal

MIN_LENGTH = 8
MAX_LENGTH = 256  # hashing is work that anybody may ask for: bound it

_hasher = PasswordHasher()
# Each takes 64 MiB while it runs, and anybody may send a password: two at a time in a process, and the
# threads that wait for their turn are few enough for the others to answer.
_turns = threading.BoundedSemaphore(2)
_WAIT_SECONDS = 1.5
# More than these do not even wait: each that waits holds a thread that others need.
_waiting = threading.BoundedSemaphore(6)


def use_hasher(hasher: PasswordHasher) -> None:
    """Replaces the hasher of this process. Only tests call it, because hashing at full cost is slow."""
    global _hasher
    _hasher = hasher
    _nobodys_hash.cache_clear()


def hash_password(password: str) -> str:
    with _turn():
        return _hasher.hash(_normal(password))


def verify(password: str, password_hash: str | None) -> bool:
    """Whether they match. With no hash (no such user) the same work is done, so that time tells nothing."""
    against = password_hash or _nobodys_hash()
    with _turn():
        try:
            _hasher.verify(against, _normal(password))
        except (Argon2Error, InvalidHashError):
            return False
    return password_hash is not None


def _normal(password: str) -> str:
    """Keyboards differ in how they compose letters; RFC 8265 has them all in form C."""
    return unicodedata.normalize("NFC", password)


def prepare() -> None:
    """Make the first unknown user take no longer than the second."""
    _nobodys_hash()


def needs_rehash(password_hash: str) -> bool:
    return _hasher.check_needs_rehash(password_hash)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("no user has this password")


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(blocking=False) and not _waited():
        raise Refusal("busy", reason="passwords are being checked")
    try:
        yield
    finally:
        _turns.release()


def _waited() -> bool:
    """Whether a turn came in time. Where too many wait already, none does."""
    if not _waiting.acquire(blocking=False):
        return False
    try:
        return _turns.acquire(timeout=_WAIT_SECONDS)
    finally:
        _waiting.release()
