"""`broker audit`: the audit log, newest entry first, with the filters of the operators' page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from broker.cli.options import Moment, json_option
from broker.cli.output import open_database_alone, print_rows

if TYPE_CHECKING:
    from broker.store.audit import AuditEntry

_MOST = 10_000


@click.command("audit")
@click.option("--actor", help="Any part of who did it, such as a user name or `cli:`.")
@click.option("--action", help="What was done, such as user.block.")
@click.option("--outcome", help="`ok`, or the code of a refusal.")
@click.option("--session", help="The id of a session.")
@click.option("--request-id", help="The X-Request-Id of an answer.")
@click.option("--since", type=Moment(), help="From this day or time on (UTC).")
@click.option("--until", type=Moment(), help="Before this day or time (UTC).")
@click.option("--before", type=int, help="Entries before this id: the last one that you have seen.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=50, show_default=True, help="The most entries."
)
@json_option
def audit(
    actor: str | None,
    action: str | None,
    outcome: str | None,
    session: str | None,
    request_id: str | None,
    since: datetime | None,
    until: datetime | None,
    before: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the audit log, newest entry first."""
    from broker.store.audit import AuditFilter, AuditLog

    wanted = AuditFilter(
        actor=actor,
        action=action,
        outcome=outcome,
        session_id=session,
        request_id=request_id,
        since=since,
        until=until,
    )
    with open_database_alone() as database:
        entries = AuditLog(database).page(wanted, before_id=before, limit=limit)
    print_rows([vars(entry) if as_json else _row(entry) for entry in entries], as_json)


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "outcome": entry.outcome if entry.times == 1 else f"{entry.outcome} x{entry.times}",
        "session": entry.session_id,
        "detail": _detail(entry.detail),
    }


def _detail(detail: Mapping[str, Any] | None) -> str | None:
    """Short enough for a line: `user=alice, before → after`. `--json` has everything."""
    if not detail:
        return None
    about = [f"{name}={_text(value)}" for name, value in detail.items() if name not in ("before", "after")]
    if "before" in detail or "after" in detail:
        about.append(f"{_text(detail.get('before'))} → {_text(detail.get('after'))}")
    return ", ".join(about)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
