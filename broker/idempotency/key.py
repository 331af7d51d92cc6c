"""IdempotencyKey: what makes two requests the same one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.errors import Refusal
from broker.principal import Principal

HEADER = "Idempotency-Key"
PATTERN = "^[!-~]{1,255}$"
_VALUE = re.compile(PATTERN.strip("^$"))


@dataclass(frozen=True)
class IdempotencyKey:
    key: str
    """A hash of the requester and the header's value."""
    body_sha256: str
    header: str = field(repr=False)
    """The value as it was sent. It is part of the key that encrypts the token, and is never stored."""


def idempotency_key(requester: Principal, header: str, body: Mapping[str, Any]) -> IdempotencyKey:
    """Refuses `bad-request` for a malformed header. Requesters never share a key: theirs is hashed in."""
    if not _VALUE.fullmatch(header):
        raise Refusal("bad-request", f"{HEADER} must be 1 to 255 visible ASCII characters.")
    same = json.dumps(body, sort_keys=True)
    return IdempotencyKey(_sha256(requester.key + header), _sha256(same), header)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
