"""Service keys: their format, their verification, and what their holder may do.

    lbk_<id>_<secret><checksum>     lbk_h3k9x2m7q4ab_<43 characters><6 characters>

The id is public and identifies the row. The secret is 32 random bytes. With the checksum (CRC-32, as in other
vendors' keys), secret scanners recognize real keys, and a typo is refused without a query of the store. The
store keeps only an HMAC under a key of the server, so a copy of the database verifies no key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from broker.errors import Refusal
from broker.identity.bearer import Verified
from broker.principal import KEY_ISSUER, Principal, end_user, team_named

ANYBODY = "any"
PEPPER_LABEL = "service-keys"
NAME_RULE = "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ID_LENGTH = 12
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(r"(lbk_([a-z0-9]{12})_[0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)
# Unicode calls these printable, but they are invisible: two different ids would look the same.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


@dataclass(frozen=True)
class ServiceKey:
    id: str
    name: str
    secret_hmac: str = field(repr=False)
    plan: str
    scopes: frozenset[str]
    profiles: frozenset[str] | None = None
    """None: all profiles of its plan."""
    on_behalf_of_prefix: str | None = None
    """The user ids that it may act for: None: none, "": all, otherwise longer ids with this prefix."""
    user_plan: str = "default"
    """The plan of its users, if a request names none."""
    plans: frozenset[str] = frozenset()
    """The other plans that a request may name for a user."""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    team: str | None = None
    """Its own and that of its users."""

    @property
    def on_behalf_of(self) -> str | None:
        """The permission as people write it: `any`, `PREFIX*`, or None."""
        prefix = self.on_behalf_of_prefix
        return prefix if prefix is None else (f"{prefix}*" if prefix else ANYBODY)

    def principal(self) -> Principal:
        team = team_named(self.team)
        return Principal(KEY_ISSUER, self.id, self.name, self.plan, profiles=self.profiles, team=team)

    def acting_for(self, subject: str, plan: str | None = None) -> Principal:
        """The user `subject` of this key, on `plan`.

        Refuses `forbidden` if the key may not act for it, or may not give it this plan.
        """
        prefix = self.on_behalf_of_prefix
        if prefix is None:
            raise Refusal("forbidden", "This service key may not act for others.")
        check_subject(subject)
        rest = subject.removeprefix(prefix)
        # A combining mark after the prefix would change its last letter.
        if not subject.startswith(prefix) or not rest or unicodedata.category(rest[0]).startswith("M"):
            raise Refusal("forbidden", "This service key may not act for this user.")
        if plan is not None and plan != self.user_plan and plan not in self.plans:
            # The name is not repeated, because it is text from the caller.
            raise Refusal("forbidden", "This service key may not give its users this plan.")
        return end_user(self.principal(), subject, plan or self.user_plan)


class KeyStore(Protocol):
    """The storage of keys. The store implements it."""

    def find(self, key_id: str) -> tuple[ServiceKey | None, datetime]:
        """The key, and the current time by the clock that all workers share."""

    def used(self, key: ServiceKey, now: datetime) -> None: ...
    def rehash(self, key_id: str, old_hmac: str, new_hmac: str) -> None: ...


class ServiceKeys:
    def __init__(self, store: KeyStore, peppers: Sequence[bytes]) -> None:
        """`peppers`: the current one first. A key hashed with an older pepper is rehashed at its next use."""
        self._store = store
        self._peppers = peppers

    def verify(self, unverified_key: str) -> ServiceKey:
        """Refuses `token-expired` for the real key after its expiry, and `invalid-token` otherwise."""
        match = _KEY.fullmatch(unverified_key)
        if match is None or not hmac.compare_digest(checksum(match[1]), match[3]):
            raise _invalid("not a service key, or it has a typo")
        key, now = self._store.find(match[2])
        # An unknown id takes the same work, so that timing reveals nothing.
        stored = key.secret_hmac if key else "0" * 64
        hashes = [keyed_hash(pepper, unverified_key) for pepper in self._peppers]
        matches = [hmac.compare_digest(candidate, stored) for candidate in hashes]
        if key is None or not any(matches):
            raise _invalid("unknown service key")
        if key.revoked_at is not None:
            raise _invalid("revoked service key")
        if key.expires_at is not None and key.expires_at <= now:
            raise Refusal("token-expired", "The service key has expired.", reason=f"service key {key.id}")
        if not matches[0]:
            self._store.rehash(key.id, stored, hashes[0])
        self._store.used(key, now)
        return key


def proof(key: ServiceKey) -> Verified:
    """A verified key as a `Verified`, the type that `Admission` admits."""
    assert key.created_at is not None
    return Verified(key.principal(), key.created_at, key.id)


def generate(pepper: bytes) -> tuple[str, str, str]:
    """Creates a key. Returns its public id, the key itself (shown once), and its hash to store."""
    key_id = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(_ID_LENGTH))
    body = f"lbk_{key_id}_{_base62(int.from_bytes(secrets.token_bytes(32)), 43)}"
    key = body + checksum(body)
    return key_id, key, keyed_hash(pepper, key)


def keyed_hash(pepper: bytes, key: str) -> str:
    return hmac.new(pepper, key.encode(), hashlib.sha256).hexdigest()


def checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), 6)


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def check_subject(subject: str) -> None:
    """Requires 1 to 255 printable, visible characters in Unicode's composed form (NFC).

    Other forms are refused, not normalized: with two spellings, one person would be two principals. Upper and
    lower case and similar letters count as different characters.
    """
    problem = None
    if not 1 <= len(subject) <= 255:
        problem = "must have 1 to 255 characters"
    elif not subject.isprintable() or _INVISIBLE.search(subject):
        problem = "must contain only printable characters"
    elif not unicodedata.is_normalized("NFC", subject):
        problem = "must be in Unicode normalization form NFC"
    if problem:
        fields = [{"field": "on_behalf_of", "problem": problem}]
        raise Refusal("invalid-field", f"on_behalf_of {problem}.", extensions={"fields": fields})


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _invalid(reason: str) -> Refusal:
    return Refusal("invalid-token", reason=reason)
