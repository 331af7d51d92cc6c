"""The schema, once. Migrations in `migrations/` bring a database to it; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite drops the offset, so it is taken off and put back here."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("username", String(64), primary_key=True),
    Column("password_hash", String(255), nullable=False),
    Column("plan", String(64), nullable=False),
    Column("roles", String(255), nullable=False, server_default=""),
    Column("blocked_at", UtcDateTime),
    Column("blocked_reason", String(255), nullable=False, server_default=""),
    # Random, and carried by every bearer and sign-in of the user: a new one ends them all at once, exactly,
    # whatever the clocks of several hosts say.
    Column("generation", String(32), nullable=False),
    Column("password_changed_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# The browser's login, of an own user or through an external issuer. Of the cookie, only a hash is kept.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id_sha256", String(64), primary_key=True),
    Column("issuer", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("plan", String(64), nullable=False),
    Column("roles", String(255), nullable=False, server_default=""),
    Column("generation", String(32)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index("ix_sign_ins_issuer_subject", "issuer", "subject"),
)

# Who is turned away although the credential is good: a principal, all its tokens from before a moment,
# one token by its id, a whole issuer. `value` is what a request looks for: a key made of issuer and subject
# or of issuer and jti, or the issuer; `issuer` and `subject` (or jti) say the same to people.
blocks = Table(
    "blocks",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("value", String(255), primary_key=True),
    Column("issuer", String(255), nullable=False),
    Column("subject", String(255), nullable=False, server_default=""),
    Column("issued_before", UtcDateTime),
    Column("reason", String(255), nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
)

# Keys of backends. Only a keyed hash of the key is kept; `id` is its public part.
service_keys = Table(
    "service_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("secret_hmac", String(64), nullable=False),
    Column("plan", String(64), nullable=False),
    Column("scopes", String(255), nullable=False),
    Column("profiles", JSON),
    Column("on_behalf_of_prefix", String(255)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

# One row per principal that is known: that ever asked, was added, or for which an operator has set something.
# It is the row that a reservation locks.
principals = Table(
    "principals",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("issuer", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    Index("ix_principals_issuer_subject", "issuer", "subject"),
)

# What an operator has set for one principal; NULL where its plan decides. `plan` is instead of its own.
# The row stays when everything is cleared, so that no `version` is ever that of two different states.
limits = Table(
    "limits",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("issuer", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("plan", String(64)),
    Column("rate", String(255)),
    Column("sessions", Integer),
    Column("minutes_per_day", Integer),
    Column("session_minutes", Integer),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

# `held_until` is all that the count of live sessions looks at: until then the session has its place, one of
# those reserved for `plan` while there are such. `released_at`: given back by its owner before its token
# expired.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("principal_key", ForeignKey("principals.key"), nullable=False),
    # The service key that opened it for the principal; it may renew and end it too.
    Column("acting_key", ForeignKey("principals.key")),
    Column("plan", String(64), nullable=False, server_default=""),
    Column("profile", String(64), nullable=False),
    Column("model", String(128), nullable=False),
    Column("client", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False, index=True),
    Column("held_until", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("released_at", UtcDateTime),
    Index("ix_sessions_held_plan", "held_until", "plan"),
    Index("ix_sessions_opened_id", "opened_at", "id"),
    Index("ix_sessions_principal_held", "principal_key", "held_until"),
    Index("ix_sessions_acting_held", "acting_key", "held_until"),
)

# `seconds` are charged for `covers_from` to `expires_at`, to the day of `reserved_at`: one that replaces a
# live one costs what goes beyond that. The keys are its session's, here for the sum over a day. `mint_ms`:
# how long Google took.
tokens = Table(
    "tokens",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("session_id", ForeignKey("sessions.id"), nullable=False, index=True),
    Column("principal_key", String(40), nullable=False),
    Column("acting_key", String(40)),
    Column("state", String(16), nullable=False),
    Column("token_sha256", String(64)),
    Column("reserved_at", UtcDateTime, nullable=False),
    Column("connect_by", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("covers_from", UtcDateTime, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("refusal", String(32)),
    Column("mint_ms", Integer),
    # Over all principals: what the series of usage read.
    Index("ix_tokens_reserved", "reserved_at"),
    Index("ix_tokens_principal_reserved", "principal_key", "reserved_at"),
    Index("ix_tokens_acting_reserved", "acting_key", "reserved_at"),
)

# What a client tells about its session: the last report, told by nobody but the client.
session_reports = Table(
    "session_reports",
    metadata,
    Column("session_id", ForeignKey("sessions.id"), primary_key=True),
    Column("reported_at", UtcDateTime, nullable=False, index=True),
    Column("data", JSON, nullable=False),
)

# Requests that carry an Idempotency-Key, for a minute. `key` is a hash of the asker and the key; `claim` says
# which request is the first one. `sealed` is its token, under a key made of the Idempotency-Key and of the
# broker's secret, neither of which is here.
idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    Column("claim", String(32), nullable=False),
    Column("claimed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("token_id", String(40)),
    Column("sealed", LargeBinary),
)

# Appended to, never changed. Refusals are few among the rows, and counted apart from the others; a query that
# holds these very words finds them by their own index.
REFUSED = "outcome NOT IN ('ok', 'reserved')"
audit = Table(
    "audit",
    metadata,
    # A busy broker appends 2^31 rows within a year. SQLite's own row number is as large, under this name.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("actor", String(520), nullable=False),
    Column("action", String(32), nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("request_id", String(64), nullable=False, server_default=""),
    Column("session_id", String(40)),
    Column("token_sha256", String(64)),
    Column("detail", JSON),
    Index("ix_audit_actor_at", "actor", "at"),
    Index(
        "ix_audit_refused",
        "at",
        "outcome",
        sqlite_where=text(REFUSED),
        postgresql_where=text(REFUSED),
    ),
)

# The hits of one rate limit and one key inside its window, oldest first, as packed float64 seconds.
rate_windows = Table(
    "rate_windows",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("hits", LargeBinary, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# The suspension in force: no row, or one with the id 1. `profiles` NULL stands for all profiles.
suspension = Table(
    "suspension",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("reason", String(255), nullable=False),
    Column("profiles", JSON(none_as_null=True)),
    Column("renewals", Boolean, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("actor", String(520), nullable=False),
)
