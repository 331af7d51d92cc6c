"""Shared by the commands: the configured database, the actor for the audit log, and the output of tables."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from broker import settings as settings_module
from broker.net.timestamps import rfc3339
from broker.settings import Settings
from broker.store.database.engine import Database


@contextmanager
def open_database() -> Iterator[tuple[Settings, Database]]:
    settings = settings_module.load()
    database = Database(settings.database_url.get_secret_value(), pool_size=2)
    try:
        yield settings, database
    finally:
        database.dispose()


def actor() -> str:
    """The person at the keyboard, as the audit log names them."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # containers often run as a user id without a name
        return f"cli:uid-{os.getuid()}"


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("None.")
        return
    table = [list(rows[0]), *[[_cell(value) for value in row.values()] for row in rows]]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    numeric = [all(isinstance(row[name], int | None) for row in rows) for name in rows[0]]
    for line in table:
        cells = zip(line, widths, numeric, strict=True)
        padded = [cell.rjust(width) if number else cell.ljust(width) for cell, width, number in cells]
        click.echo("  ".join(padded).rstrip())


def print_honoured_until(moment: datetime | None) -> None:
    """Tokens that Google issued cannot be revoked: print when the last one expires, if any is still valid."""
    if moment is not None:
        click.echo(f"Google may accept tokens that it already issued until {rfc3339(moment)}.")


def time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value if value is not None else "-")
