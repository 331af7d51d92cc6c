"""What the operators' routes answer, as `shapes` has it for the others."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field as Named

from broker.http.openapi.shapes import RateLeft, SessionsLeft, Shape


class Nothing(Shape):
    """An empty object: it is done."""


class PlanShown(Shape):
    rate: str
    sessions: int
    minutes_per_day: int
    session_minutes: int


class NamedPlan(PlanShown):
    name: str
    reserved_sessions: int


class Issuer(Shape):
    issuer: str
    label: str


class ProjectShown(Shape):
    sessions: SessionsLeft


class Today(Shape):
    tokens: int
    refusals: int
    minutes: int


class Overview(Shape):
    now: str
    version: str
    project: ProjectShown
    today: Today
    plans: list[NamedPlan]
    profiles: list[str]
    issuers: list[Issuer]


class BlockedSince(Shape):
    at: str
    reason: str


class LimitsHeld(PlanShown):
    """What holds, and the rule that says so."""

    rule: str
    plan: str


class OverridesSet(Shape):
    """What was set for this one; null where its plan decides."""

    plan: str | None
    rate: str | None
    sessions: int | None
    minutes_per_day: int | None
    session_minutes: int | None


class UserShown(Shape):
    key: str
    issuer: str
    subject: str
    name: str
    own: bool
    plan: str
    roles: list[str]
    blocked: BlockedSince | None
    created_at: str | None
    open_sessions: int
    minutes_today: int
    limits: LimitsHeld
    overrides: OverridesSet
    version: int


class Foretold(Shape):
    """What the next `POST /token` would be told, and which rule decides."""

    profile: str
    rule: str
    limits: PlanShown
    left: list[RateLeft]
    open_sessions: int
    used_minutes: int
    answer: str
    status: int
    detail: str | None


class OneUser(UserShown):
    next_token: Foretold


class Users(Shape):
    users: list[UserShown]
    next: str | None


class HonouredUntil(Shape):
    honoured_until: str | None


class SessionShown(Shape):
    id: str
    key: str
    issuer: str
    subject: str
    name: str
    profile: str
    model: str
    state: Literal["open", "ended"]
    opened_at: str
    ends_at: str
    held_until: str
    heartbeat_at: str | None
    ended_at: str | None
    seconds: int
    client: dict[str, str]
    report: dict[str, int] | None


class Sessions(Shape):
    sessions: list[SessionShown]
    next: str | None


class KeyShown(Shape):
    id: str
    name: str
    plan: str
    scopes: list[str]
    profiles: list[str] | None
    on_behalf_of: str | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class NewKeyShown(KeyShown):
    """`key` is the secret itself: nobody can show it again."""

    key: str


class Keys(Shape):
    keys: list[KeyShown]
    next: str | None


class BlockShown(Shape):
    kind: Literal["principal", "issued-before", "jti", "issuer"]
    issuer: str
    subject: str
    issued_before: str | None
    reason: str
    created_at: str


class Blocks(Shape):
    blocks: list[BlockShown]
    next: str | None


class EntryShown(Shape):
    id: int
    at: str
    actor: str
    action: str
    outcome: str
    request_id: str
    session_id: str | None
    detail: dict[str, Any] | None


class Audit(Shape):
    entries: list[EntryShown]
    next: str | None


class Percentiles(Shape):
    p50: float
    p95: float
    p99: float


class UsagePoint(Shape):
    at: str
    tokens: int
    refusals: dict[str, int]
    mint_ms: Percentiles | None
    open_sessions: int
    minutes: float


class UsageTotals(Shape):
    tokens: int
    refusals: dict[str, int]
    minutes: float
    mint_ms: Percentiles | None
    first_audio_ms: Percentiles | None
    underruns: int


class Talker(Shape):
    key: str
    issuer: str
    subject: str
    name: str
    minutes: float


class Usage(Shape):
    range: Literal["hour", "day", "week"]
    from_: str = Named(alias="from")
    to: str
    step_seconds: int
    points: list[UsagePoint]
    totals: UsageTotals
    minutes_by_user: list[Talker]


class UsageQuery(Shape):
    range: Literal["hour", "day", "week"] = "day"
