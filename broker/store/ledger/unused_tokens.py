"""How many tokens of a session may be able to open a connection."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select

from broker.errors import Refusal
from broker.sessions.session import TokenState
from broker.store.database.statement import Query
from broker.store.database.tables import tokens

# How many tokens of a session may be able to open a connection, and how many of them may come at once.
MOST_UNUSED = 10
MOST_AT_ONCE, AT_ONCE = 4, timedelta(seconds=3)

_UNUSED = Query(
    select(tokens.c.reserved_at, tokens.c.connect_by).where(
        tokens.c.session_id == bindparam("session"),
        tokens.c.state != TokenState.VOID,
        tokens.c.connect_by > bindparam("now"),
    )
)


def check_unused(connection: Connection, session_id: str, now: datetime) -> None:
    """Refuses `rate-limited` if too many tokens of this session could still open a connection.

    A session has one place, but Google does not say which of its tokens are in use. So a client that renews
    in parallel would talk on all of them. An honest one needs a new token for each attempt to reconnect.
    """
    unused = _UNUSED.rows(connection, {"session": session_id, "now": now})
    recent = sorted(row.reserved_at for row in unused if row.reserved_at > now - AT_ONCE)
    if len(unused) >= MOST_UNUSED:
        until = min(row.connect_by for row in unused)
    elif len(recent) >= MOST_AT_ONCE:
        until = recent[-MOST_AT_ONCE] + AT_ONCE
    else:
        return
    seconds = max(1, math.ceil((until - now).total_seconds()))
    raise Refusal(
        "rate-limited",
        f"{len(unused)} tokens of this session can still open a connection. Use one of them, "
        f"or try again in {seconds} s.",
        retry_after_seconds=seconds,
        extensions={"violated-policies": ["tokens of a session"]},
    )
