"""Writes the rows of a reservation: sessions and tokens, one small statement for each change.

The ledger decides which. Each change names the state that it starts from: if two race for a row, only one of
them finds it.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, update

from broker.limits.forgiveness import may_forgive
from broker.limits.quota import Quotas, QuotaUsage
from broker.principal import Principal
from broker.sessions.session import Reservation, SessionState, SessionTerms, TokenState
from broker.sessions.token_window import TokenWindow
from broker.store.database.statement import Statement, Writes, insert_of
from broker.store.database.tables import sessions, tokens
from broker.store.ledger import day_sums, spending
from broker.store.ledger.quota_usage import GRACE, usage_of
from broker.store.ledger.spending import Account

# Built once: putting a statement together takes longer than running it.
_ADD_SESSION = insert_of(
    sessions, "id", "principal_key", "acting_key", "team_key", "plan", "user_plan", "profile", "model",
    "client", "state", "opened_at", "ends_at", "held_until", "counted", "spent_on", "spent_nanos",
    "spent_seconds",
)  # fmt: skip
_ADD_TOKEN = insert_of(
    tokens, "id", "session_id", "principal_key", "acting_key", "state", "reserved_at", "connect_by",
    "expires_at", "covers_from", "seconds", "forgiven", "nanos",
)  # fmt: skip
_MOVE = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("session"), sessions.c.state == bindparam("before"))
    .values(state=bindparam("after"), ended_at=bindparam("ended"))
)
_SETTLE = Statement(
    update(tokens)
    .where(tokens.c.id == bindparam("token"), tokens.c.state == TokenState.RESERVED)
    .values(
        state=bindparam("to"),
        token_sha256=bindparam("sha256"),
        refusal=bindparam("code"),
        mint_ms=bindparam("took"),
    )
)
_HELD = update(sessions).where(sessions.c.id == bindparam("session")).values(held_until=bindparam("until"))
_HOLD = Statement(_HELD)
_SHORTEN = Statement(_HELD.where(sessions.c.held_until > bindparam("until")))
_HOLD_ANEW = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"))
    .values(held_until=bindparam("until"), plan=bindparam("of_plan"))
)
_RELEASE = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"))
    .values(held_until=bindparam("at"), released_at=bindparam("at"))
)
_LIVE = (
    select(
        tokens.c.id,
        tokens.c.principal_key,
        tokens.c.acting_key,
        sessions.c.team_key,
        tokens.c.reserved_at,
        tokens.c.covers_from,
        tokens.c.expires_at,
        tokens.c.seconds,
    )
    .join(sessions, sessions.c.id == tokens.c.session_id)
    .where(
        tokens.c.session_id == bindparam("session"),
        tokens.c.state == TokenState.ISSUED,
        tokens.c.expires_at > bindparam("now"),
    )
)
_NEWEST = select(func.max(tokens.c.connect_by), func.max(tokens.c.expires_at)).where(
    tokens.c.session_id == bindparam("session"), tokens.c.state == TokenState.ISSUED
)
_BEATS = select(sessions.c.heartbeat_at).where(sessions.c.id == bindparam("session"))
_CHARGE = (
    select(
        tokens.c.session_id,
        sessions.c.spent_on,
        tokens.c.nanos,
        tokens.c.principal_key,
        tokens.c.acting_key,
        sessions.c.team_key,
        tokens.c.reserved_at,
        tokens.c.seconds,
        tokens.c.forgiven,
    )
    .join(sessions, sessions.c.id == tokens.c.session_id)
    .where(tokens.c.id == bindparam("token"))
    .with_for_update(of=tokens)
)
_FREE_OF_CHARGE = (
    update(tokens).where(tokens.c.id == bindparam("token")).values(seconds=0, forgiven=0, nanos=0)
)
_GIVE_BACK = (
    update(tokens)
    .where(tokens.c.id == bindparam("token"))
    .values(seconds=tokens.c.seconds - bindparam("unused"), forgiven=tokens.c.forgiven + bindparam("unused"))
)


def add_session(
    writes: Writes,
    principal: Principal,
    terms: SessionTerms,
    window: TokenWindow,
    plan: str,
    account: Account,
) -> str:
    session_id = "ses_" + secrets.token_hex(16)
    row = {
        "id": session_id,
        "principal_key": principal.key,
        "acting_key": principal.actor.key if principal.actor else None,
        "team_key": principal.team.key if principal.team else None,
        "plan": plan,
        "user_plan": terms.user_plan,
        "profile": terms.profile,
        "model": terms.model,
        "client": dict(terms.client),
        "state": SessionState.RESERVED,
        "opened_at": window.now,
        "ends_at": window.ends_at,
        "held_until": window.connect_by + GRACE,
        "counted": True,
        "spent_on": account.label,
        "spent_nanos": account.nanos_of(window.seconds),
        "spent_seconds": window.seconds,
    }
    writes.add(_ADD_SESSION, row)
    return session_id


def add_token(
    writes: Writes,
    principal: Principal,
    session_id: str,
    window: TokenWindow,
    own: QuotaUsage,
    account: Account,
    *,
    opens_session: bool,
    kept: bool = False,
) -> Reservation:
    """A reserved token. `own` is the principal's usage without it. `kept`: the session has its place."""
    token_id, nanos = "tok_" + secrets.token_hex(16), account.nanos_of(window.seconds)
    row = {
        "id": token_id,
        "session_id": session_id,
        "principal_key": principal.key,
        "acting_key": principal.actor.key if principal.actor else None,
        "state": TokenState.RESERVED,
        "reserved_at": window.now,
        "connect_by": window.connect_by,
        "expires_at": window.expires_at,
        "covers_from": window.covers_from,
        "seconds": window.seconds,
        "forgiven": window.forgiven,
        "nanos": nanos,
    }
    writes.add(_ADD_TOKEN, row)
    keys = tuple(one.key for one in principal.charged)
    day_sums.add(writes, keys, window.now, window.seconds, window.forgiven)
    if opens_session:  # its row has the charge already
        spending.add(writes, account.label, keys, nanos, window.seconds)
    else:
        spending.change(writes, session_id, account.label, keys, nanos, window.seconds)
    return Reservation(
        token_id=token_id,
        session_id=session_id,
        opens_session=opens_session,
        reserved_at=window.now,
        connect_by=window.connect_by,
        expires_at=window.expires_at,
        ends_at=window.ends_at,
        usage=replace(
            own.with_more(nanos, window.seconds),
            open=own.open + (0 if kept else 1),
            used_seconds=own.used_seconds + window.seconds,
            forgiven_seconds=own.forgiven_seconds + window.forgiven,
        ),
    )


def moved(
    connection: Connection,
    session_id: str,
    before: SessionState,
    after: SessionState,
    ended_at: datetime | None,
) -> bool:
    """Returns whether the session was in `before` and is now in `after`."""
    values = {"session": session_id, "before": before, "after": after, "ended": ended_at}
    return _MOVE.run(connection, values).changed == 1


def issue(connection: Connection, token_id: str, token_sha256: str, mint_ms: int | None) -> None:
    _settle(connection, token_id, TokenState.ISSUED, sha256=token_sha256, took=mint_ms)


def void_token(connection: Connection, token_id: str, refusal_code: str) -> None:
    """It was not delivered, so it costs nothing, even if a confirmation succeeded without an answer.

    Called under the locks of its owners.
    """
    _settle(connection, token_id, TokenState.VOID, code=refusal_code)
    charge = connection.execute(_CHARGE, {"token": token_id}).one_or_none()
    if charge is not None:
        connection.execute(_FREE_OF_CHARGE, {"token": token_id})
        keys = (charge.team_key, charge.acting_key, charge.principal_key)
        with Writes(connection) as writes:
            day_sums.add(writes, keys, charge.reserved_at, -charge.seconds, -charge.forgiven)
            if charge.spent_on:  # otherwise it was opened before budgets were kept
                spending.change(
                    writes, charge.session_id, charge.spent_on, keys, -charge.nanos, -charge.seconds
                )


def void_session(connection: Connection, session_id: str, now: datetime) -> bool:
    """Returns whether it was still reserved."""
    was_reserved = moved(connection, session_id, SessionState.RESERVED, SessionState.VOID, now)
    if was_reserved:
        hold(connection, session_id, now)
    return was_reserved


def _settle(
    connection: Connection,
    token_id: str,
    state: TokenState,
    *,
    sha256: str | None = None,
    took: int | None = None,
    code: str | None = None,
) -> None:
    values = {"token": token_id, "to": state, "sha256": sha256, "took": took, "code": code}
    _SETTLE.run(connection, values)


def hold(connection: Connection, session_id: str, until: datetime) -> None:
    _HOLD.run(connection, {"session": session_id, "until": until})


def hold_anew(connection: Connection, session_id: str, until: datetime, plan: str) -> None:
    """A new place for a session that had lost its own, counted for its current plan."""
    connection.execute(_HOLD_ANEW, {"session": session_id, "until": until, "of_plan": plan})


def shorten_hold(connection: Connection, session_id: str) -> None:
    """Back to the time that the issued tokens need."""
    connect_by, expires_at = connection.execute(_NEWEST, {"session": session_id}).one()
    if connect_by is not None:
        beats = connection.execute(_BEATS, {"session": session_id}).scalar_one()
        until = expires_at if beats else connect_by + GRACE
        _SHORTEN.run(connection, {"session": session_id, "until": until})


def release(connection: Connection, session_id: str, quotas: Quotas, now: datetime) -> None:
    """Give back the place and the unused seconds, if all of them can be forgiven.

    Otherwise both stay as they are until the tokens expire. Tokens of yesterday count with those of today, or
    an end just after midnight would escape the sum of its day.
    """
    live = connection.execute(_LIVE, {"session": session_id, "now": now}).all()
    if not live:
        _SHORTEN.run(connection, {"session": session_id, "until": now})
        return
    unused = {row.id: row.seconds - _talked(row.seconds, row.covers_from, now) for row in live}
    since = min(row.reserved_at for row in live)
    usages = [usage_of(connection, quota, now, since) for quota in quotas.of]
    if may_forgive(usages, sum(unused.values())):
        for row in live:
            seconds = unused[row.id]
            connection.execute(_GIVE_BACK, {"token": row.id, "unused": seconds})
            with Writes(connection) as writes:
                keys = (row.team_key, row.acting_key, row.principal_key)
                day_sums.add(writes, keys, row.reserved_at, -seconds, seconds)
        connection.execute(_RELEASE, {"session": session_id, "at": now})
    else:
        until = max(row.expires_at for row in live)
        _SHORTEN.run(connection, {"session": session_id, "until": until})


def _talked(charged: int, covers_from: datetime, now: datetime) -> int:
    """The seconds of a token's charge that have passed."""
    return min(charged, max(0, math.ceil((now - covers_from).total_seconds())))
