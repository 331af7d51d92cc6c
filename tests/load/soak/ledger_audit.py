"""The audit of a soak's ledger: every token that a client got is there once, and nothing else is.

Each check returns sentences about what is wrong. A row that no client got is allowed only if an answer was
lost.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from broker.idempotency.record import REMEMBERED
from broker.sessions.session import SessionState, TokenState
from tests.load.soak.journal import Journal
from tests.load.soak.rows import Rows

# Seconds that tokens may have been forgiven at a moment which were never confirmed.
_IN_FLIGHT = 60


def audit_deliveries(rows: Rows, journal: Journal) -> Iterator[str]:
    """Every delivered token is one issued row of its session and its owner, with one line in the trail."""
    by_sha = Counter(row.token_sha256 for row in rows.issued)
    found = {row.token_sha256: row for row in rows.issued}
    trail = Counter({sha: len(times) for sha, times in rows.confirmations.items()})
    for sha, (session, principal) in journal.tokens.items():
        row = found.get(sha)
        if row is None:
            yield f"a delivered token of session {session} is not in the ledger"
        elif (row.session_id, row.principal_key) != (session, principal):
            yield f"a delivered token of session {session} belongs to {row.session_id} in the ledger"
    for sha, count in by_sha.items():
        if count != 1 or trail[sha] != 1:
            yield f"token {sha[:12]} has {count} rows and {trail[sha]} lines in the audit trail"
    for sha in trail.keys() - by_sha.keys():
        yield f"token {sha[:12]} has a line in the audit trail and no row"


def audit_intents(rows: Rows, journal: Journal) -> Iterator[str]:
    """Every session goes back to an intent; one intent with an Idempotency-Key has one session at most."""
    opened: dict[str, list[Any]] = defaultdict(list)
    for session in rows.sessions.values():
        name = session.client.get("version")
        intent = journal.intents.get(name)
        if intent is None:
            yield f"session {session.id} was opened by no one"
        elif intent.principal != session.principal_key:
            yield f"session {session.id} belongs to someone else"
        elif is_granted(rows, session, journal):
            opened[name].append(session)
    for name, intent in journal.intents.items():
        granted = {session.id for session in opened[name]}
        if missing := intent.sessions - granted:
            yield f"intent {name} got {missing}, which the ledger does not have as granted"
        undelivered = len(granted - intent.sessions)
        times = sorted(session.opened_at for session in opened[name])
        if intent.keyed and any(later - one < REMEMBERED for one, later in pairwise(times)):
            yield f"intent {name} with an Idempotency-Key has {len(granted)} sessions"
        if undelivered > intent.unanswered + intent.unsure:
            yield f"intent {name} has {undelivered} sessions that no client got; no answer was lost"


def is_granted(rows: Rows, session: Any, journal: Journal) -> bool:
    """Whether its first token was confirmed and is charged, or was delivered.

    If the store fails in mid-confirmation, the confirmation may stand although the caller was refused. Then
    the charge is taken back, and no one has the token.
    """
    first = rows.first(session.id)
    return first.state == TokenState.ISSUED and (first.seconds > 0 or first.token_sha256 in journal.tokens)


def audit_renewals(rows: Rows, journal: Journal) -> Iterator[str]:
    for session, tokens in rows.of_session.items():
        undelivered = [
            row
            for row in tokens[1:]
            if row.state == TokenState.ISSUED and row.token_sha256 not in journal.tokens
        ]
        intent = journal.intents.get(rows.sessions[session].client.get("version"))
        # A late repeat of `POST /token` is answered with a renewal.
        repeats = intent.unanswered + intent.unsure if intent is not None and intent.keyed else 0
        lost = journal.lost_renewals[session] + repeats
        if len(undelivered) > lost:
            yield (
                f"session {session} has {len(undelivered)} renewals that no client got; "
                f"{lost} answers were lost"
            )


def audit_charges(rows: Rows, journal: Journal) -> Iterator[str]:
    """Each token costs its time. No second of a session is charged twice, if it could be forgiven."""
    forgiven = forgiven_of_a_day(rows)
    for session_id, tokens in rows.of_session.items():
        session = rows.sessions[session_id]
        for number, row in enumerate(tokens):
            if row.seconds not in (allowed := _charges(session, row)):
                yield f"{row.state} token {row.id} costs {row.seconds} s; the rules say {sorted(allowed)}"
            life = (row.expires_at - row.reserved_at).total_seconds()
            if row.seconds + row.forgiven and not 0 <= row.seconds + row.forgiven - life < 2:
                yield f"token {row.id} lives {life} s: {row.seconds} charged, {row.forgiven} forgiven"
            paid = [one.expires_at for one in tokens[:number] if rows.confirmed_by(one, row.reserved_at)]
            again = (max([row.reserved_at, *paid]) - row.covers_from).total_seconds()
            owners = [key for key in (row.principal_key, row.acting_key) if key]
            fitted = [forgiven[key, row.reserved_at.date()] + again + _IN_FLIGHT for key in owners]
            most = [journal.fewest_minutes(key) * 60 for key in owners]
            if again > 0 and all(one <= other for one, other in zip(fitted, most, strict=True)):
                yield f"token {row.id} charges time that was paid already"


def forgiven_of_a_day(rows: Rows) -> Counter[tuple[str, Any]]:
    """Principal and day: the seconds that were forgiven. The principal is also the key that acts."""
    found: Counter[tuple[str, Any]] = Counter()
    for row in rows.tokens:
        if row.state != TokenState.RESERVED:
            for key in filter(None, (row.principal_key, row.acting_key)):
                found[key, row.reserved_at.date()] += row.forgiven
    return found


def _charges(session: Any, row: Any) -> set[int]:
    """What the token may cost. Nothing, if it was confirmed but refused to the caller."""
    if row.state == TokenState.VOID:
        return {0}
    whole = max(0, math.ceil((row.expires_at - row.covers_from).total_seconds()))
    if row.state == TokenState.RESERVED:
        return {whole}
    if session.released_at is not None and row.expires_at > session.released_at:
        talked = math.ceil((session.released_at - row.covers_from).total_seconds())
        whole = min(whole, max(0, talked))
    return {whole, 0}


def audit_states(rows: Rows) -> Iterator[str]:
    """After the last join window, nothing is half done."""
    for session in rows.sessions.values():
        first = rows.first(session.id)
        if session.state == SessionState.VOID and first.state == TokenState.ISSUED:
            yield f"session {session.id} is void and its token is issued"
        if session.state == SessionState.RESERVED and first.state != TokenState.RESERVED:
            yield f"session {session.id} is reserved and its token is {first.state}"
        if session.state in (SessionState.OPEN, SessionState.ENDED) and first.state == TokenState.RESERVED:
            yield f"session {session.id} is {session.state} and its token is reserved"
