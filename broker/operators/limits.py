"""What operators do to limits and sessions: the command line calls it, and so does the admin API."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from broker.limits.policy import Policy
from broker.operators.users import EditConflict, Ops, OpsError, Unknown
from broker.principal import NO_OVERRIDES, OWN_ISSUER, Overrides, Principal, principal_key
from broker.sessions.session import SessionState
from broker.settings import Plan, Settings
from broker.store.accounts.overrides import EditedMeanwhile, LimitsRow, SqlLimits
from broker.store.database.engine import Database
from broker.store.reporting.people import Person
from broker.store.reporting.sessions import SessionRow, SqlSessions

FIELDS = tuple(vars(NO_OVERRIDES))
_MOST_SESSIONS = 1000


@dataclass(frozen=True)
class Limits:
    """What holds for one principal, and what of it an operator has set."""

    rule: str
    plan_name: str
    plan: Plan
    overrides: Overrides


class AlreadyEnded(OpsError):  # noqa: N818 - reads as what it says
    """The session that the request names."""


class LimitOps:
    def __init__(self, settings: Settings, database: Database, *, actor: str) -> None:
        config = settings.config
        self._plans = config.plans
        self._policy = Policy(config.plans, config.project.sessions)
        self._people = Ops(settings, database, actor=actor)
        self._limits = SqlLimits(database)
        self._sessions = SqlSessions(database)
        self._actor = actor

    def show(self, subject: str, issuer: str = OWN_ISSUER) -> Limits:
        """Of another issuer's principal the plan that its credentials name is not known here."""
        principal = self._people.principal(subject, issuer)
        return self._limits_of(principal, self._limits.find(principal.key))

    def all(self) -> list[LimitsRow]:
        """Everybody for whom something is set."""
        return self._limits.all()

    def set(
        self,
        subject: str,
        changes: Mapping[str, Any],
        issuer: str = OWN_ISSUER,
        *,
        version: int | None = None,
    ) -> Limits:
        """Over what was set before; holds for the next request on every worker. None: the plan decides again.

        With a `version` only if nobody else has changed anything since that one; raises EditConflict.
        """
        principal = self._people.principal(subject, issuer)
        if not changes:
            raise OpsError(f"nothing to set; there are: {', '.join(FIELDS)}")
        self._check(changes)
        try:
            overrides = self._limits.set(
                issuer, principal.subject, changes, actor=self._actor, version=version
            )
        except EditedMeanwhile:
            raise EditConflict("the limits were changed since they were read; read them again") from None
        return self._limits_of(principal, overrides)

    def clear(self, subject: str, fields: Collection[str] = (), issuer: str = OWN_ISSUER) -> Limits:
        """Let the plan decide again: on `fields`, or on everything."""
        principal = self._people.principal(subject, issuer)
        nothing = dict.fromkeys(fields or FIELDS)
        overrides = self._limits.set(issuer, principal.subject, nothing, actor=self._actor)
        return self._limits_of(principal, overrides)

    def sessions(self, subject: str | None = None, issuer: str = OWN_ISSUER) -> list[SessionRow]:
        """The sessions that count as open, the newest first."""
        key = None if subject is None else principal_key(issuer, subject)
        return self._sessions.page(principal_key=key, most=_MOST_SESSIONS)

    def session_page(
        self, *, key: str | None, open_only: bool, before: tuple[datetime, str] | None, most: int
    ) -> list[SessionRow]:
        return self._sessions.page(principal_key=key, open_only=open_only, before=before, most=most)

    def end_session(self, session_id: str) -> datetime | None:
        """No further token, from now on; its page learns it with the next heartbeat.

        Returns until when Google may still honour the token that was given out last.
        """
        try:
            return self._sessions.end(session_id, actor=self._actor)
        except LookupError:
            if self._sessions.state(session_id) is SessionState.ENDED:
                raise AlreadyEnded(f"there is no open session {session_id!r}: it has ended") from None
            raise Unknown(f"there is no open session {session_id!r}") from None

    def limits_of(self, person: Person) -> Limits:
        """Of somebody who was looked up with what is set."""
        principal = Principal(person.issuer, person.subject, person.name, person.plan or "default")
        return self._limits_of(principal, person.overrides)

    def _limits_of(self, principal: Principal, overrides: Overrides) -> Limits:
        there = principal.with_overrides(overrides)
        applied = self._policy.for_principal(there)
        return Limits(applied.rule, there.plan, applied.plan, overrides)

    def _check(self, changes: Mapping[str, Any]) -> None:
        """By the rules that broker.toml is read by: what gets past here must never fail a request."""
        plan = changes.get("plan")
        if plan is not None and plan not in self._plans:
            known = ", ".join(sorted(self._plans))
            raise OpsError(f"there is no plan {plan!r}; there are: {known}", field="plan")
        limits = {name: value for name, value in changes.items() if name != "plan" and value is not None}
        try:
            Plan.model_validate({**self._plans["default"].model_dump(), **limits})
        except ValidationError as error:
            (first, *_) = error.errors()
            said = first["msg"].removeprefix("Value error, ")
            raise OpsError(f"{first['loc'][0]}: {said}", field=str(first["loc"][0])) from None
        if len(str(changes.get("rate", ""))) > 255:
            raise OpsError("rate: is longer than 255 characters", field="rate")
