"""Shared by the commands: the configured database, the actor for the audit log, questions, and tables.

A command imports what it works with inside its functions: `--help`, `--version` and the completion of a word
answer before any large library is loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from broker.settings import Settings
    from broker.store.database.engine import Database

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@contextmanager
def open_database(context: click.Context | None = None) -> Iterator[tuple[Settings, Database]]:
    """`context` is the command's; completion passes its own."""
    from broker import settings as settings_module

    settings = settings_module.load(environment(context))
    with _opened(settings.database_url.get_secret_value()) as database:
        yield settings, database


@contextmanager
def open_database_alone(context: click.Context | None = None) -> Iterator[Database]:
    """For commands that only look into the database: they do not read `broker.toml`, which takes long."""
    from broker.settings.variables import database_url

    with _opened(database_url(environment(context))) as database:
        yield database


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    from broker.store.database.engine import Database

    database = Database(url, pool_size=2)
    try:
        yield database
    finally:
        database.dispose()


def environment(context: click.Context | None = None) -> Mapping[str, str] | None:
    """The variables that the settings are read from: with `--dev` those of `broker dev`. None: our own."""
    context = context or click.get_current_context(silent=True)
    if context is None or not context.find_root().params.get("dev_database"):
        return None
    from broker.cli.dev_environment import existing

    return existing()


def actor() -> str:
    """The person at the keyboard, as the audit log names them."""
    import getpass
    import os

    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # containers often run as a user id without a name
        return f"cli:uid-{os.getuid()}"


def confirm(question: str, yes: bool, *, unattended: bool = False) -> None:
    """Ask before something is destroyed.

    Without a terminal nobody can answer: raises OperatorError, or goes on if `unattended` is allowed.
    """
    if yes:
        return
    if sys.stdin.isatty():
        click.confirm(question, abort=True)
    elif not unattended:
        from broker.operators.errors import OperatorError

        raise OperatorError("this cannot be undone; add --yes to do it without a question")


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=_to_json))


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """JSON has exact times; a table has them relative to now."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("None.")
        return
    now = datetime.now(UTC)
    table = [list(rows[0]), *[[cell(value, now) for value in row.values()] for row in rows]]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    numeric = [all(isinstance(row[name], int | None) for row in rows) for name in rows[0]]
    for line in table:
        cells = zip(line, widths, numeric, strict=True)
        padded = [cell.rjust(width) if number else cell.ljust(width) for cell, width, number in cells]
        click.echo("  ".join(padded).rstrip())


def print_honoured_until(moment: datetime | None) -> None:
    """Tokens that Google issued cannot be revoked: print when the last one expires, if any is still valid."""
    if moment is not None:
        from broker.net.timestamps import rfc3339

        click.echo(f"Google may accept tokens that it already issued until {rfc3339(moment)}.")


def money(amount: str | None) -> str | None:
    """For a table: four decimals. JSON has all of them."""
    from decimal import Decimal

    return amount and f"{Decimal(amount):.4f}"


def cell(value: Any, now: datetime) -> str:
    if isinstance(value, datetime):
        return relative(value, now)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value if value is not None else "-")


def relative(moment: datetime, now: datetime) -> str:
    """`5 min ago`, `in 2 h`. Rounded down, so the unit is the largest one that fits."""
    seconds = int(abs((now - moment).total_seconds()))
    if seconds == 0:
        return "now"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    text = f"{seconds // size} {unit}"
    return f"{text} ago" if moment < now else f"in {text}"


def _to_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    raise TypeError(f"a row contains a {type(value).__name__}")
