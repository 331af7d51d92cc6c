"""`broker token`: a bearer token for trying the API."""

from __future__ import annotations

import click

from broker.cli import completion
from broker.cli.output import actor, open_database


@click.command("token")
@click.argument("username", shell_complete=completion.users)
def token(username: str) -> None:
    """Print a bearer token of USERNAME, for trying the API. It expires after one hour."""
    from broker.operators.users import UserAdmin

    with open_database() as (settings, database):
        click.echo(UserAdmin(settings, database, actor=actor()).access_token(username))
