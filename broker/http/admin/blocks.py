"""GET /admin/blocks: blocked principals, tokens and issuers. Own users are under /admin/users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from flask import Blueprint
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from broker.http import guards
from broker.http.admin import lists
from broker.http.credentials import Caller
from broker.http.responses import operation
from broker.http.shapes import timestamp_or_none
from broker.identity.blocks import BlockKind
from broker.net.timestamps import rfc3339
from broker.parts import parts
from broker.store.accounts.blocks import BlockRow, SqlBlocks

bp = Blueprint("blocks", __name__)

Kind = Literal["principal", "issued-before", "jti", "issuer"]
_KINDS: Mapping[BlockKind, Kind] = {
    BlockKind.PRINCIPAL: "principal",
    BlockKind.ISSUED_BEFORE: "issued-before",
    BlockKind.TOKEN: "jti",
    BlockKind.ISSUER: "issuer",
}
_POSITION = TypeAdapter(tuple[lists.PositionText, lists.PositionText])


class BlockShown(TypedDict):
    kind: Kind
    issuer: str
    subject: str
    issued_before: str | None
    reason: str
    created_at: str


class Blocks(TypedDict):
    blocks: list[BlockShown]
    next: str | None


@bp.get("/blocks")
@guards.require_operator
@operation("List the blocked principals, tokens and issuers", query=lists.ListQuery)
def list_blocks(_caller: Caller) -> Blocks:
    asked = lists.query(lists.ListQuery)
    rows = SqlBlocks(parts().database).page(after=asked.position(_POSITION), limit=asked.limit + 1)
    shown, following = lists.cut(rows, asked.limit, lambda row: (row.kind, row.value))
    return {"blocks": [_block(row) for row in shown], "next": following}


def _block(row: BlockRow) -> BlockShown:
    return {
        "kind": _KINDS[row.kind],
        "issuer": row.issuer,
        "subject": row.subject,
        "issued_before": timestamp_or_none(row.issued_before),
        "reason": row.reason,
        "created_at": rfc3339(row.created_at),
    }
