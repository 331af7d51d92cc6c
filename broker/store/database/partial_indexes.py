"""The indexes of some rows. Only queries that contain exactly the condition of an index use it.

A part of the schema that only the migrations need. SQLAlchemy loads the whole dialect of PostgreSQL for it,
and a command would wait for that.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, TextClause, text

from broker.store.database.tables import (
    COUNTED,
    REFUSED,
    UNCONFIRMED,
    UNSETTLED,
    UNSUMMED,
    audit,
    sessions,
    tokens,
)

_IN_TEAM = text("team_key IS NOT NULL")
_TEAM_COUNTED = text("counted AND team_key IS NOT NULL")


def _index_where(condition: TextClause, name: str, *columns: Column[object]) -> Index:
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_index_where(COUNTED, "ix_sessions_counted", sessions.c.held_until)
_index_where(COUNTED, "ix_sessions_principal_counted", sessions.c.principal_key, sessions.c.held_until)
_index_where(COUNTED, "ix_sessions_acting_counted", sessions.c.acting_key, sessions.c.held_until)
_index_where(_TEAM_COUNTED, "ix_sessions_team_counted", sessions.c.team_key, sessions.c.held_until)
_index_where(_IN_TEAM, "ix_sessions_team", sessions.c.team_key, sessions.c.principal_key)
_index_where(UNCONFIRMED, "ix_tokens_principal_unconfirmed", tokens.c.principal_key, tokens.c.connect_by)
_index_where(UNCONFIRMED, "ix_tokens_acting_unconfirmed", tokens.c.acting_key, tokens.c.connect_by)
_index_where(text(REFUSED), "ix_audit_refused", audit.c.at, audit.c.outcome, audit.c.times)
_index_where(UNSETTLED, "ix_sessions_unsettled", sessions.c.ends_at, sessions.c.id)
_index_where(text(UNSUMMED), "ix_audit_unsummed", audit.c.id)
