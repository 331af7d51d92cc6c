"""Refusal: every way in which the broker says no, as one closed family.

Owns the stable `code` of each refusal, its HTTP status and a sentence that anyone may read. Also owns
`LimitState`, the form in which refusals and answers carry what is left of a limit. Needs nothing.
`http/problems.py` writes the JSON, and `http/ratelimit.py` the RateLimit fields. Internals (the words of an
upstream, the check that failed) go to the log through `reason`, never to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Code = Literal[
    "bad-json",
    "bad-request",
    "missing-credentials",
    "invalid-token",
    "token-expired",
    "bad-login",
    "profile-forbidden",
    "account-blocked",
    "origin-forbidden",
    "csrf-failed",
    "forbidden",
    "not-found",
    "profile-unknown",
    "session-unknown",
    "method",
    "request-timeout",
    "idempotency-conflict",
    "edit-conflict",
    "session-ended",
    "too-large",
    "media-type",
    "field-not-allowed",
    "invalid-field",
    "ttl-too-long",
    "rate-limited",
    "too-many-sessions",
    "minutes-exhausted",
    "budget-exhausted",
    "login-throttled",
    "internal",
    "upstream-rejected",
    "upstream-error",
    "project-capacity",
    "upstream-quota",
    "busy",
    "store-unavailable",
    "keys-unavailable",
    "audit-unavailable",
    "minting-suspended",
    "draining",
    "upstream-timeout",
]

# code -> (HTTP status, title). A code has one title, whatever the occurrence (RFC 9457, section 3.1.3).
CODES: Mapping[Code, tuple[int, str]] = MappingProxyType(
    {
        "bad-json": (400, "The body is not valid JSON."),
        "bad-request": (400, "The request is malformed."),
        "missing-credentials": (401, "Credentials are required."),
        "invalid-token": (401, "The credential is not valid."),
        "token-expired": (401, "The credential has expired."),
        "bad-login": (401, "The username or the password is wrong."),
        "profile-forbidden": (403, "This profile is not open to you."),
        "account-blocked": (403, "This account is blocked."),
        "origin-forbidden": (403, "Requests from this origin are not accepted."),
        "csrf-failed": (403, "The request could not be tied to this sign-in."),
        "forbidden": (403, "You may not do this."),
        "not-found": (404, "There is nothing at this address."),
        "profile-unknown": (404, "There is no such profile."),
        "session-unknown": (404, "There is no such session."),
        "method": (405, "This method is not supported here."),
        "request-timeout": (408, "The request did not arrive in time."),
        "idempotency-conflict": (409, "The idempotency key was used with another request."),
        "edit-conflict": (409, "It was changed in the meantime."),
        "session-ended": (409, "The session has ended."),
        "too-large": (413, "The request is too large."),
        "media-type": (415, "The body must be application/json."),
        "field-not-allowed": (422, "A field is not allowed here."),
        "invalid-field": (422, "A field has an invalid value."),
        "ttl-too-long": (422, "The requested lifetime is too long."),
        "rate-limited": (429, "Too many requests."),
        "too-many-sessions": (429, "Too many sessions are open."),
        "minutes-exhausted": (429, "No minutes are left."),
        "budget-exhausted": (429, "The budget is used up."),
        "login-throttled": (429, "Too many sign-in attempts."),
        "internal": (500, "Something went wrong on our side."),
        "upstream-rejected": (502, "The voice service did not accept our request."),
        "upstream-error": (502, "The voice service failed."),
        "project-capacity": (503, "All places are taken at the moment."),
        "upstream-quota": (503, "The voice service has no capacity for us at the moment."),
        "busy": (503, "The service is busy."),
        "store-unavailable": (503, "The service cannot reach its store."),
        "keys-unavailable": (503, "The sign-in keys cannot be loaded at the moment."),
        "audit-unavailable": (503, "The service cannot keep its records at the moment."),
        "minting-suspended": (503, "New tokens are suspended."),
        "draining": (503, "This server is shutting down."),
        "upstream-timeout": (504, "The voice service did not answer in time."),
    }
)

# No row can be written after one of these: the first fault is the one to report.
STORE_FAULTS: frozenset[Code] = frozenset({"store-unavailable", "audit-unavailable"})


@dataclass(frozen=True)
class LimitState:
    """How much is left of one limit.

    `reset` is in seconds: until the limit grows again, by the oldest counted request or by a new day. A limit
    on what is open at once has no window, hence no `reset`. `unit` is None for requests.
    """

    policy: str
    limit: int
    remaining: int
    reset: int | None = None
    window_seconds: int | None = None
    unit: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"policy": self.policy, "remaining": self.remaining, "reset": self.reset}


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an accident
    """A denied request.

    `detail` and `hint` are shown to the caller and must hold nothing that the caller may not know.
    `reason` is for the log only. `limits` are the limits that the request met. `extensions` are further
    members of the problem body, such as `fields` and `violated-policies`; they may hold datetimes.
    """

    def __init__(
        self,
        code: Code,
        detail: str | None = None,
        *,
        hint: str | None = None,
        reason: str | None = None,
        retry_after_seconds: int | None = None,
        limits: Sequence[LimitState] = (),
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        status, title = CODES[code]
        super().__init__(code)
        self.code: Code = code
        self.status = status
        self.title = title
        self.detail = detail
        self.hint = hint
        self.reason = reason
        # A 503 without Retry-After invites a tight loop, so each one has at least a second.
        self.retry_after_seconds = 1 if status == 503 and retry_after_seconds is None else retry_after_seconds
        self.limits = tuple(limits)
        self.extensions = dict(extensions or {})
