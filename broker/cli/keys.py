"""`broker keys`: the service keys of backends. A key is printed when it is made and never again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from broker.cli import completion as cli_complete
from broker.cli.output import actor, open_database, print_rows, time
from broker.identity.service_keys import SCOPES, ServiceKey
from broker.operators.keys import KeyOps


@click.group()
def keys() -> None:
    """Service keys, for backends that ask for tokens."""


@keys.command("create")
@click.argument("name")
@click.option("--plan", default="default", show_default=True, shell_complete=cli_complete.plans)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(SCOPES)),
    help="What it may do; may be given several times. Left out: token, sessions and read.",
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    help="Only these profiles of its plan. Left out: all.",
    shell_complete=cli_complete.profiles,
)
@click.option("--expires-days", type=int, help="Left out: it does not expire.")
@click.option(
    "--on-behalf-of",
    metavar="any|PREFIX*",
    help="Whose sessions it may open: anybody's, or of ids that begin with PREFIX. Left out: its own only.",
)
@click.option("--json", "as_json", is_flag=True)
def keys_create(
    name: str,
    plan: str,
    scopes: tuple[str, ...],
    profiles: tuple[str, ...],
    expires_days: int | None,
    on_behalf_of: str | None,
    as_json: bool,
) -> None:
    """Make the key NAME and print it on stdout, this once."""
    with _ops() as ops:
        made = ops.create(
            name,
            plan=plan,
            scopes=scopes,
            profiles=profiles,
            expires_days=expires_days,
            on_behalf_of=on_behalf_of,
        )
    if as_json:
        click.echo(json.dumps({**_row(made.key), "key": made.secret}, indent=2))
        return
    click.echo(f"Made {name} ({made.key.id}). Keep the key now: nobody can show it again.", err=True)
    click.echo(made.secret)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True)
def keys_list(as_json: bool) -> None:
    """List the keys, revoked ones too."""
    with _ops() as ops:
        print_rows([_row(key) for key in ops.all()], as_json)


@keys.command("revoke")
@click.argument("name", shell_complete=cli_complete.keys)
def keys_revoke(name: str) -> None:
    """Turn the key NAME (or its id) away from the next request on, for good."""
    with _ops() as ops:
        key = ops.revoke(name)
    click.echo(f"Revoked {key.name} ({key.id}). Sessions that it opened run to their end.")


@contextmanager
def _ops() -> Iterator[KeyOps]:
    with open_database() as (settings, database):
        yield KeyOps(settings, database, actor=actor())


def _row(key: ServiceKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "id": key.id,
        "plan": key.plan,
        "scopes": sorted(key.scopes),
        "profiles": None if key.profiles is None else sorted(key.profiles),
        "on_behalf_of": key.on_behalf_of,
        "created_at": time(key.created_at),
        "expires_at": time(key.expires_at),
        "revoked_at": time(key.revoked_at),
        "last_used_at": time(key.last_used_at),
    }
