"""Options that several commands share, and the type of a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from broker.principal import OWN_ISSUER


class Moment(click.ParamType[datetime]):
    """A day or a time of RFC 3339. Without an offset it is UTC."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2026-11-30 or 2026-11-30T09:00:00Z", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
issuer_option = click.option(
    "--issuer",
    default=OWN_ISSUER,
    show_default=True,
    help="The issuer of the user's tokens: their `iss`.",
)
reason_option = click.option("--reason", default="", help="Why. Stored with the block and in the audit log.")
