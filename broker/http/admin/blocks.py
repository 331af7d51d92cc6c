"""/admin/blocks: everything that is blocked, and how an operator unblocks a token or an issuer."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Blueprint
from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from broker.http import body, guards
from broker.http.admin import lists, operator
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.http.shapes import Nothing, timestamp_or_none
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.store.reporting.blocked import Blocked, Kind, SqlBlocked

bp = Blueprint("blocks", __name__)

_POSITION = TypeAdapter(tuple[lists.PositionText, lists.PositionText])
Name = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra=body.NO_CONTROLS),
    AfterValidator(lists.readable),
]


class BlocksQuery(lists.ListQuery):
    """`liftable` leaves out what a sign-out has revoked, because no one can undo that."""

    state: Literal["all", "liftable"] = "all"


class BlockShown(TypedDict):
    """`key` names a user or principal for the routes under /admin/users; otherwise it is null."""

    kind: Kind
    issuer: str
    subject: str
    key: str | None
    issued_before: str | None
    reason: str
    created_at: str
    can_unblock: bool


class Blocks(TypedDict):
    blocks: list[BlockShown]
    next: str | None


class Lift(body.Body):
    """As `broker blocks remove`: with `jti` the block of one token, without it that of the issuer."""

    issuer: Name
    jti: Name | None = None


@bp.get("/blocks")
@guards.require_operator
@operation("List all blocks: users, other principals, tokens and issuers", query=BlocksQuery)
def list_blocks(_caller: Caller) -> Blocks:
    asked = lists.query(BlocksQuery)
    rows = SqlBlocked(parts().database).page(
        only_liftable=asked.state == "liftable",
        after=asked.position(_POSITION),
        limit=asked.limit + 1,
    )
    shown, following = lists.cut(rows, asked.limit, lambda row: (row.kind, row.value))
    return {"blocks": [_block(row) for row in shown], "next": following}


@bp.post("/blocks/remove")
@guards.require_operator
@operation(
    "Unblock a token or an issuer; people are unblocked under /admin/users",
    body=Lift,
    codes=("not-found", "edit-conflict"),
)
def remove_block(caller: Caller) -> Nothing:
    asked = body.read(Lift)
    operator.block_admin(caller).lift(asked.issuer, asked.jti)
    return {}


def _block(row: Blocked) -> BlockShown:
    return {
        "kind": row.kind,
        "issuer": row.issuer,
        "subject": row.subject,
        "key": row.key,
        "issued_before": timestamp_or_none(row.issued_before),
        "reason": row.reason,
        "created_at": rfc3339(row.created_at),
        "can_unblock": row.can_be_lifted,
    }
