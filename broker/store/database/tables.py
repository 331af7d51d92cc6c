"""The schema. The migrations bring a database to it, and a test compares the two.

The indexes of some rows only are in `partial_indexes.py`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    false,
    text,
)

from broker.store.database.column_types import UtcDateTime

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
    # A random value that every bearer and sign-in of the user carries. A new value revokes them all at once,
    # and exactly, whatever the clocks of several hosts say.
    Column("generation", String(32), nullable=False),
    Column("password_changed_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("team", String(64)),
)

# Browser sign-ins of own users and of external issuers' users. Only a hash of the cookie is stored.
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
    Column("team", String(64)),
    Index("ix_sign_ins_issuer_subject", "issuer", "subject"),
)

# Valid credentials that are rejected: those of a principal, those of a principal issued before a moment, one
# token by its id, or those of a whole issuer. A request looks a block up by `value`: a hash of issuer and
# subject, a hash of issuer and jti, or the issuer. `issuer` and `subject` (or jti) are the same for people to
# read.
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

# Keys of backends. Only a keyed hash of the key is stored; `id` is its public part.
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
    Column("user_plan", String(64), nullable=False, server_default="default"),
    Column("plans", JSON(none_as_null=True)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("team", String(64)),
)

# One row per known principal: one that has asked for a token, was added, or was blocked or limited by an
# operator. A reservation locks this row. Teams have one, too.
principals = Table(
    "principals",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("issuer", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    Index("ix_principals_issuer_subject", "issuer", "subject"),
)

# An operator's overrides for one principal or team; NULL where its plan, or the settings, decide. `plan`
# replaces the principal's own plan. Budgets are in millionths of the currency. The row stays when all
# overrides are cleared, so that no two states ever have the same `version`.
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
    Column("budget_per_day", BigInteger),
    Column("budget_per_month", BigInteger),
    Column("minutes_per_month", Integer),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ix_limits_issuer_subject", "issuer", "subject"),
)

# Until `held_until` the session holds a place, one of those reserved for `plan` while there are any.
# `user_plan`: the plan of a service key's user. `counted`: `places` counts it. That is every session that
# holds a place, and each one that has lost its place until a request finds it. `released_at` is when its
# owner gave the place back before its token expired. `spent_nanos` and `spent_seconds` are in the sums of
# `spending`, for the day `spent_on`. `settled`: nothing about it changes any more, and `usage_days` has it.
# Before that, `summed` is what `usage_days` has of it, if it has anything.
COUNTED = text("counted")
UNSETTLED = text("NOT settled")
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("principal_key", ForeignKey("principals.key"), nullable=False),
    # The service key that opened the session for the principal. The key may also renew and end it.
    Column("acting_key", ForeignKey("principals.key")),
    # The team of the principal when it was opened.
    Column("team_key", String(40)),
    Column("plan", String(64), nullable=False, server_default=""),
    Column("user_plan", String(64)),
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
    Column("counted", Boolean, nullable=False, server_default=false()),
    Column("spent_on", String(10), nullable=False, server_default=""),
    Column("spent_nanos", BigInteger, nullable=False, server_default="0"),
    Column("spent_seconds", Integer, nullable=False, server_default="0"),
    Column("settled", Boolean, nullable=False, server_default=false()),
    Column("summed", JSON(none_as_null=True)),
    Index("ix_sessions_held_plan", "held_until", "plan"),
    Index("ix_sessions_opened_id", "opened_at", "id"),
    Index("ix_sessions_principal_held", "principal_key", "held_until"),
    Index("ix_sessions_acting_held", "acting_key", "held_until"),
)

# How many sessions are counted: all of them (owner "project"), those of each plan (owner "plan"), and those
# of each principal, as their owner or as the service key that acts (owner: its key). Changed only under the
# lock of the project, which is the lock of the project's row. Each count is made anew on its first use of a
# day.
places = Table(
    "places",
    metadata,
    Column("owner", String(40), primary_key=True),
    Column("plan", String(64), primary_key=True),
    Column("taken", Integer, nullable=False),
    Column("recounted_on", String(10), nullable=False),
)

# `seconds` are charged for `covers_from` to `expires_at`, on the day of `reserved_at`. A token that replaces
# a valid one costs only the time beyond it. `forgiven` are the other seconds in which it could be used: those
# that another token covers, and those that its owner gave back. The two add up to the token's life. The keys
# are copied from the session for the sums over a day.
# `nanos` is what its reservation added to the charge of its session. `mint_ms` is how long Google took.
UNCONFIRMED = text("state = 'reserved'")
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
    Column("forgiven", Integer, nullable=False, server_default="0"),
    Column("nanos", BigInteger, nullable=False, server_default="0"),
    Column("refusal", String(32)),
    Column("mint_ms", Integer),
    # Over all principals: the usage series read it.
    Index("ix_tokens_reserved", "reserved_at"),
    Index("ix_tokens_principal_reserved", "principal_key", "reserved_at"),
    Index("ix_tokens_acting_reserved", "acting_key", "reserved_at"),
)

# The last report of a client about its session. Only the client vouches for it. For the cost,
# `token_counts` are those of the report with the most tokens. `set_aside` has the counts of the last report
# that cannot be true, and what is wrong with them. They never get into `token_counts`.
session_reports = Table(
    "session_reports",
    metadata,
    Column("session_id", ForeignKey("sessions.id"), primary_key=True),
    Column("reported_at", UtcDateTime, nullable=False, index=True),
    Column("data", JSON, nullable=False),
    Column("token_counts", JSON(none_as_null=True)),
    Column("set_aside", JSON(none_as_null=True)),
)

# Requests with an Idempotency-Key, kept for a minute. `key` is a hash of the requester and the key; `claim`
# identifies the first request. `sealed` is its token, encrypted with a key derived from the Idempotency-Key
# and the broker's secret. Neither of them is stored here.
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

# Append-only, apart from `is_summed`: whether `usage_days` has the refusal. A row stands for `times` events;
# only repeated refusals share one. Refusals are a small part of the rows and are counted separately. A query
# that contains exactly this condition uses their partial index.
REFUSED = "outcome NOT IN ('ok', 'reserved')"
UNSUMMED = f"{REFUSED} AND NOT is_summed"
audit = Table(
    "audit",
    metadata,
    # A busy broker appends 2^31 rows within a year. In SQLite, INTEGER is the 64-bit row number.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("actor", String(520), nullable=False),
    Column("action", String(32), nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("request_id", String(64), nullable=False, server_default=""),
    Column("session_id", String(40)),
    Column("token_sha256", String(64)),
    Column("detail", JSON),
    Column("times", Integer, nullable=False, server_default="1"),
    Column("is_summed", Boolean, nullable=False, server_default=false()),
    Index("ix_audit_actor_at", "actor", "at"),
)

# The hits on one rate limit by one key within its window: packed float64 seconds, oldest first.
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
