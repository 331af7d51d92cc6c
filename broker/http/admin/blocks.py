"""GET /admin/blocks: who is turned away, single tokens and issuers too. Own users are with the users."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from broker.http import guards
from broker.http.admin import lists
from broker.http.admin import operator as desk
from broker.http.credentials import Caller
from broker.parts import parts
from broker.store.accounts.blocks import BlockRow, SqlBlocks

bp = Blueprint("blocks", __name__)


@bp.get("/blocks")
@guards.require_operator
def list_blocks(_caller: Caller) -> Response:
    asked = lists.query(lists.ListQuery)
    place = asked.place(lists.text, lists.text)
    after = None if place is None else (place[0], place[1])
    rows = SqlBlocks(parts().database).page(after=after, limit=asked.limit + 1)
    return lists.page("blocks", rows, asked.limit, _to_json, lambda row: (row.kind, row.value))


def _to_json(row: BlockRow) -> dict[str, Any]:
    return {
        "kind": row.kind.value,
        "issuer": row.issuer,
        "subject": row.subject,
        "issued_before": desk.time(row.issued_before),
        "reason": row.reason,
        "created_at": desk.time(row.created_at),
    }
