"""`broker blocks`: block single tokens and whole issuers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from broker.cli.options import json_option, reason_option
from broker.cli.output import actor, open_database, open_database_alone, print_rows

if TYPE_CHECKING:
    from broker.operators.blocks import BlockAdmin


@click.group()
def blocks() -> None:
    """Manage blocks of single tokens and of whole issuers. To block one user, use `broker users block`."""


@blocks.command("add")
@click.option("--issuer", required=True, help="The issuer of the tokens: their `iss`.")
@click.option(
    "--jti", help="Block only the token with this id. Without it, every user of the issuer is blocked."
)
@reason_option
def blocks_add(issuer: str, jti: str | None, reason: str) -> None:
    """Block one token, or every user of an issuer. The block applies to the next request."""
    with _block_admin() as admin:
        if jti is None:
            admin.block_issuer(issuer, reason=reason)
        else:
            admin.block_token(issuer, jti, reason=reason)
    click.echo(f"Blocked {_description(issuer, jti)}.")


@blocks.command("remove")
@click.option("--issuer", required=True, help="The issuer that was given to `blocks add`.")
@click.option("--jti", help="The token id that was given to `blocks add`.")
def blocks_remove(issuer: str, jti: str | None) -> None:
    """Remove a block. Give the same options as to `blocks add`."""
    with _block_admin() as admin:
        admin.lift(issuer, jti)
    click.echo(f"Unblocked {_description(issuer, jti)}.")


@blocks.command("list")
@json_option
def blocks_list(as_json: bool) -> None:
    """List blocks. `broker users list` shows which of the broker's own users are blocked."""
    from broker.store.accounts.blocks import SqlBlocks

    with open_database_alone() as database:
        rows = [
            {
                "kind": str(row.kind),
                "issuer": row.issuer,
                "subject": row.subject,
                "issued_before": row.issued_before,
                "reason": row.reason,
                "created_at": row.created_at,
            }
            for row in SqlBlocks(database).page()
        ]
    print_rows(rows, as_json)


def _description(issuer: str, jti: str | None) -> str:
    return f"the issuer {issuer}" if jti is None else f"the token {jti} of {issuer}"


@contextmanager
def _block_admin() -> Iterator[BlockAdmin]:
    from broker.operators.blocks import BlockAdmin

    with open_database() as (settings, database):
        yield BlockAdmin(settings, database, actor=actor())
