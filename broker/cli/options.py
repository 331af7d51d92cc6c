"""Options that several commands share."""

from __future__ import annotations

import click

from broker.principal import OWN_ISSUER

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
issuer_option = click.option(
    "--issuer",
    default=OWN_ISSUER,
    show_default=True,
    help="The issuer of the user's tokens: their `iss`.",
)
reason_option = click.option("--reason", default="", help="Why. Stored with the block and in the audit log.")
