"""Service keys: what one looks like, how it is told from a typo, and what its holder may do.

    lbk_<id>_<secret><checksum>     lbk_h3k9x2m7q4ab_<43 characters><6 characters>

The id is public and names the row. The secret is 32 random bytes. The checksum (CRC-32, as in other vendors'
keys) lets a scanner tell a real key from noise, and refuses a typo before the store is asked. Of the key
itself only an HMAC under a key of the server is kept: a copy of the database verifies nothing.
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
from broker.principal import KEY_ISSUER, Principal, end_user

SCOPES = {
    "token": "POST /token: open sessions",
    "sessions": "/sessions/…: next tokens, heartbeats and ends of the sessions that it opened",
    "read": "GET /me and GET /profiles",
    "metrics": "GET /metrics",
}
# A key that names no scope is for an app: how busy the broker is, it need not know.
USUAL_SCOPES = ("token", "sessions", "read")
ANYBODY = "any"
PEPPER_LABEL = "service-keys"
NAME_RULE = "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ID_LENGTH = 12
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(r"(lbk_([a-z0-9]{12})_[0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)
# Printable by the book and invisible to the eye: with one of these an id is another one that looks the same.
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
    """None: all that are open to its plan."""
    on_behalf_of_prefix: str | None = None
    """Whose name it may use: None nobody's, "" anybody's, else ids that begin so and go on."""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def on_behalf_of(self) -> str | None:
        """The grant as people write it: `any`, `PREFIX*`, or None."""
        prefix = self.on_behalf_of_prefix
        return prefix if prefix is None else (f"{prefix}*" if prefix else ANYBODY)

    def principal(self) -> Principal:
        return Principal(KEY_ISSUER, self.id, self.name, self.plan, profiles=self.profiles)

    def acting_for(self, subject: str) -> Principal:
        """The user of this key called `subject`; refuses `forbidden` beyond the grant."""
        prefix = self.on_behalf_of_prefix
        if prefix is None:
            raise Refusal("forbidden", "This service key may not act for others.")
        check_subject(subject)
        rest = subject.removeprefix(prefix)
        # A mark at the seam would change the prefix's last letter into another one.
        if not subject.startswith(prefix) or not rest or unicodedata.category(rest[0]).startswith("M"):
            raise Refusal("forbidden", "This service key may not act for this user.")
        return end_user(self.principal(), subject)


class KeyStore(Protocol):
    """Where keys are kept. `store.service_keys` implements it."""

    def find(self, key_id: str) -> tuple[ServiceKey | None, datetime]:
        """The key, and the time by the clock that all workers share."""

    def used(self, key: ServiceKey, now: datetime) -> None: ...
    def rehash(self, key_id: str, old_hmac: str, new_hmac: str) -> None: ...


class ServiceKeys:
    def __init__(self, store: KeyStore, peppers: Sequence[bytes]) -> None:
        """`peppers`: the current one first; a key kept under an older one is kept anew at its next use."""
        self._store = store
        self._peppers = peppers

    def verify(self, unverified_key: str) -> ServiceKey:
        """Refuses `invalid-token`, and `token-expired` to who holds the real key only."""
        match = _KEY.fullmatch(unverified_key)
        if match is None or not hmac.compare_digest(checksum(match[1]), match[3]):
            raise _invalid("no service key, or a typo in it")
        key, now = self._store.find(match[2])
        # An unknown id costs the same work, so that time tells nothing.
        stored = key.secret_hmac if key else "0" * 64
        hashes = [keyed_hash(pepper, unverified_key) for pepper in self._peppers]
        fits = [hmac.compare_digest(kept, stored) for kept in hashes]
        if key is None or not any(fits):
            raise _invalid("unknown service key")
        if key.revoked_at is not None:
            raise _invalid("revoked service key")
        if key.expires_at is not None and key.expires_at <= now:
            raise Refusal("token-expired", "The service key has expired.", reason=f"service key {key.id}")
        if not fits[0]:
            self._store.rehash(key.id, stored, hashes[0])
        self._store.used(key, now)
        return key


def proof(key: ServiceKey) -> Verified:
    """What a verified key proves, in the form in which every credential is admitted."""
    assert key.created_at is not None
    return Verified(key.principal(), key.created_at, key.id)


def generate(pepper: bytes) -> tuple[str, str, str]:
    """A new key: its public id, the key itself (to be shown once), and what to keep of it."""
    key_id = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(_ID_LENGTH))
    body = f"lbk_{key_id}_{_base62(int.from_bytes(secrets.token_bytes(32)), 43)}"
    key = body + checksum(body)
    return key_id, key, keyed_hash(pepper, key)


def keyed_hash(pepper: bytes, key: str) -> str:
    return hmac.new(pepper, key.encode(), hashlib.sha256).hexdigest()


def checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), 6)


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def check_subject(subject: str) -> None:
    """1 to 255 printable characters in Unicode's composed form, none of them invisible.

    Other forms are refused, not folded: the backend must name its users in one way, or one person would be
    two principals here. Case and look-alikes are not judged: ids are compared letter by letter.
    """
    problem = None
    if not 1 <= len(subject) <= 255:
        problem = "must have 1 to 255 characters"
    elif not subject.isprintable() or _INVISIBLE.search(subject):
        problem = "must have printable characters only"
    elif not unicodedata.is_normalized("NFC", subject):
        problem = "must be in Unicode's form NFC"
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
