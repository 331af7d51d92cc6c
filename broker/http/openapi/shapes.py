"""What the answers look like, for the document at /openapi.json. A test holds real answers to these.

The views do not build these: an answer is written where it is made, and here said what may be relied on.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Field(Shape):
    field: str
    problem: str


class Problem(BaseModel):
    """RFC 9457. Branch on `code`; some codes have members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    hint: str = ""
    retry_after_seconds: int = 1
    fields: list[Field] = []


class RateLeft(Shape):
    policy: str
    remaining: int
    reset: int


class SessionsLeft(Shape):
    limit: int
    open: int


class MinutesLeft(Shape):
    limit: int
    used: int


class LimitsLeft(Shape):
    rate: list[RateLeft]
    sessions: SessionsLeft
    minutes_per_day: MinutesLeft


class TokenSession(Shape):
    id: str
    state: Literal["open"]
    ends_at: str
    renew_after: str
    heartbeat_seconds: int


class Token(Shape):
    """`url` never holds the token; `setup` is the first frame to send."""

    token: str
    token_type: Literal["live-ephemeral"]
    expires_at: str
    expires_in: int
    connect_by: str
    connect_within: int
    url: str
    auth: dict[str, str]
    api_version: str
    model: str
    profile: str
    setup: dict[str, Any]
    locked: list[str]
    audio: dict[str, str]
    session: TokenSession
    limits: LimitsLeft
    on_behalf_of: str = ""


class Heartbeat(Shape):
    state: str
    ends_at: str
    message: str = ""


class Ended(Shape):
    id: str
    state: str
    honoured_until: str | None


class SignedIn(Shape):
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    csrf_token: str


class PrincipalName(Shape):
    issuer: str
    subject: str


class MySession(Shape):
    id: str
    profile: str
    state: str
    opened_at: str
    ends_at: str
    on_behalf_of: str = ""


class NextToken(Shape):
    granted: bool
    profile: str
    status: int = 429
    code: str = ""
    detail: str = ""
    retry_after_seconds: int = 1


class MyKey(Shape):
    scopes: list[str]
    profiles: list[str] | None
    on_behalf_of: str | None
    expires_at: str | None


class Me(Shape):
    principal: PrincipalName
    name: str
    plan: str
    roles: list[str]
    limits: LimitsLeft
    sessions: list[MySession]
    next_token: NextToken
    csrf_token: str = ""
    service_key: MyKey | None = None


class ProfileShown(Shape):
    name: str
    description: str
    models: list[str]
    voice: str | None
    default: bool


class Profiles(Shape):
    profiles: list[ProfileShown]


class Status(Shape):
    status: str


class KeySet(Shape):
    keys: list[dict[str, Any]]
