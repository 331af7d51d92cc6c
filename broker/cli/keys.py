"""`broker keys`: create, list and revoke service keys. A key is printed once, when it is created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from broker.cli import completion
from broker.cli.options import json_option, yes_option
from broker.cli.output import actor, confirm, open_database, open_database_alone, print_json, print_rows
from broker.identity.scopes import SCOPES, USUAL_SCOPES

if TYPE_CHECKING:
    from broker.identity.service_keys import ServiceKey


@click.group()
def keys() -> None:
    """Manage service keys: credentials of backends."""


@keys.command("create")
@click.argument("name")
@click.option(
    "--plan",
    default="default",
    show_default=True,
    help="The plan whose limits apply to the key.",
    shell_complete=completion.plans,
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(SCOPES)),
    help=f"A permission. Can be given several times. Default: {', '.join(USUAL_SCOPES)}.",
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    help="A profile that the key may use. Can be given several times. Default: every profile of its plan.",
    shell_complete=completion.profiles,
)
@click.option("--expires-days", type=int, help="Days until the key expires. Default: it does not expire.")
@click.option(
    "--on-behalf-of",
    metavar="any|PREFIX*",
    help="Users for whom the key may open sessions: any, or ids that begin with PREFIX. Default: none.",
)
@click.option("--team", help="The team of the key and of its users, who share its limits.")
@click.option(
    "--user-plan",
    default="default",
    show_default=True,
    help="The plan of these users, if the request names none.",
    shell_complete=completion.plans,
)
@click.option(
    "--plans",
    default="",
    metavar="PLAN,PLAN",
    help="Plans that a request may name for a user, separated by commas.",
)
@json_option
def keys_create(
    name: str,
    plan: str,
    scopes: tuple[str, ...],
    profiles: tuple[str, ...],
    expires_days: int | None,
    on_behalf_of: str | None,
    team: str | None,
    user_plan: str,
    plans: str,
    as_json: bool,
) -> None:
    """Create the key NAME and print it on standard output. It cannot be shown again."""
    from broker.operators.keys import KeyAdmin

    with open_database() as (settings, database):
        created = KeyAdmin(settings, database, actor=actor()).create(
            name,
            plan=plan,
            scopes=scopes,
            profiles=profiles,
            expires_days=expires_days,
            on_behalf_of=on_behalf_of,
            team=team,
            user_plan=user_plan,
            plans=[name.strip() for name in plans.split(",") if name.strip()],
        )
    if as_json:
        print_json({**_row(created.key), "key": created.secret})
        return
    click.echo(f"Created {name} ({created.key.id}). Store the key now: it cannot be shown again.", err=True)
    click.echo(created.secret)


@keys.command("list")
@json_option
def keys_list(as_json: bool) -> None:
    """List service keys, including revoked ones."""
    from broker.store.accounts.service_keys import SqlServiceKeys

    with open_database_alone() as database:
        print_rows([_row(key) for key in SqlServiceKeys(database).page()], as_json)


@keys.command("revoke")
@click.argument("name", shell_complete=completion.keys)
@yes_option
def keys_revoke(name: str, yes: bool) -> None:
    """Revoke the key NAME for good. NAME may also be its id. Applies to the next request."""
    confirm(f"Revoke the key {name} for good?", yes, unattended=True)  # scripts revoked before --yes existed
    from broker.operators.keys import KeyAdmin

    with open_database() as (settings, database):
        key = KeyAdmin(settings, database, actor=actor()).revoke(name)
    click.echo(f"Revoked {key.name} ({key.id}). Sessions that it opened continue to their end.")


def _row(key: ServiceKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "id": key.id,
        "plan": key.plan,
        "scopes": sorted(key.scopes),
        "profiles": None if key.profiles is None else sorted(key.profiles),
        "on_behalf_of": key.on_behalf_of,
        "team": key.team,
        "user_plan": key.user_plan,
        "plans": sorted(key.plans),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }
