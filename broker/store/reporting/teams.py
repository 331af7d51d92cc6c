"""SqlTeams: the teams that the broker knows, with their overrides and what their members use together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, literal, select, union

from broker.limits.budget import Spent
from broker.limits.policy import Policy, TeamLimits, team_quota
from broker.limits.quota import QuotaUsage
from broker.principal import NO_OVERRIDES, OWN_ISSUER, TEAM_ISSUER, Overrides, Principal, team_named
from broker.store.accounts.overrides import OVERRIDES, overrides_of
from broker.store.database.engine import Database
from broker.store.database.tables import limits, principals, sessions, users
from broker.store.ledger.quota_usage import counted
from broker.store.ledger.spending import Spending

_NAMES = select(principals.c.subject).where(principals.c.issuer == TEAM_ISSUER)
_OVERRIDES = select(limits.c.subject, limits.c.version, *OVERRIDES).where(limits.c.issuer == TEAM_ISSUER)


@dataclass(frozen=True)
class TeamRow:
    """`members`: own users of the team, and everyone who has opened a session for it that is still kept."""

    team: Principal
    limits: TeamLimits
    overrides: Overrides
    version: int
    members: int
    usage: QuotaUsage
    spent: Spent

    @property
    def name(self) -> str:
        return self.limits.name


class SqlTeams:
    """`configured`: the teams with an entry in the settings."""

    def __init__(
        self, database: Database, policy: Policy, spending: Spending, configured: Sequence[str]
    ) -> None:
        self._database = database
        self._policy = policy
        self._spending = spending
        self._configured = configured

    def find(self, name: str) -> TeamRow:
        """Also one that nobody belongs to yet."""
        with self._database.read() as connection:
            return self._rows(connection, [name])[0]

    def page(
        self, *, query: str = "", after: str | None = None, limit: int | None = None
    ) -> Sequence[TeamRow]:
        """In the order of their names, those that contain `query` in any case."""
        names = _NAMES.order_by(principals.c.subject).limit(limit)
        if query:
            names = names.where(principals.c.subject.icontains(query, autoescape=True))
        if after is not None:
            names = names.where(principals.c.subject > after)
        configured = {
            name
            for name in self._configured
            if query.lower() in name.lower() and (after is None or name > after)
        }
        with self._database.read() as connection:
            found = configured | set(connection.execute(names).scalars())
            return self._rows(connection, sorted(found)[:limit])

    def _rows(self, connection: Connection, names: Sequence[str]) -> list[TeamRow]:
        overrides = {row.subject: row for row in connection.execute(_of(names))}
        members: dict[str, int] = {row[0]: row[1] for row in connection.execute(_members(names))}
        return [self._row(connection, name, overrides.get(name), members.get(name, 0)) for name in names]

    def _row(self, connection: Connection, name: str, row: Any, members: int) -> TeamRow:
        now = self._database.now(connection)
        overrides = NO_OVERRIDES if row is None else overrides_of(row)
        team = team_named(name)
        applied = self._policy.for_team(team.with_overrides(overrides))
        account = self._spending.account(None, now)
        found = counted(connection, team_quota(applied), now, label=account.label, always_spent=True)
        assert found.spent is not None
        usage = self._spending.bounded(found.usage, found.spent, account)
        version = 0 if row is None else row.version
        return TeamRow(team, applied, overrides, version, members, usage, found.spent)


def _of(names: Sequence[str]) -> Select[Any]:
    return _OVERRIDES.where(limits.c.subject.in_(names))


def _members(names: Sequence[str]) -> Select[Any]:
    own = (
        select(users.c.team.label("team"), principals.c.key)
        .join(principals, and_(principals.c.issuer == OWN_ISSUER, principals.c.subject == users.c.username))
        .where(users.c.team.in_(names))
    )
    team = principals.alias("team")
    seen = (
        select(team.c.subject, sessions.c.principal_key)
        .join(team, team.c.key == sessions.c.team_key)
        .where(team.c.issuer == literal(TEAM_ISSUER), team.c.subject.in_(names))
    )
    each = union(own, seen).subquery()
    return select(each.c.team, func.count()).group_by(each.c.team)
