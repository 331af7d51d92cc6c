"""Why a command failed, on standard error. Imported only then."""

from __future__ import annotations

import click

from broker.errors import Refusal
from broker.operators.errors import OperatorError
from broker.settings import SettingsError
from broker.telemetry.log import redact


def report(error: Exception) -> int | None:
    """Returns the exit status; None for a fault of the command itself, which nobody has foreseen."""
    if isinstance(error, SettingsError):
        problems = "".join(f"\n  - {fault}" for fault in error.faults)
        click.echo(f"Error: the settings are invalid:{problems}", err=True)
        return 2
    if isinstance(error, OperatorError):
        click.echo(f"Error: {error}", err=True)
        return 1
    if isinstance(error, Refusal):
        reason = f" ({error.reason})" if error.reason else ""
        click.echo(redact(f"Error: {error.code}: {error.detail or error.title}{reason}"), err=True)
        return 1
    return None
