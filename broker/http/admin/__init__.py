"""/admin: everything that the command line does, over HTTP, for people with the role `operator`.

One module per resource. Each view is a thin call into `ops`, `ops_limits`, `ops_keys` or `ops_people`, which
the commands call too, so that there is one implementation and one audit trail. Leaves who is let in to
`guards.require_operator`, and that no other origin is to `origins`.
"""

from __future__ import annotations

from flask import Blueprint

from broker.http.admin import audit, blocks, keys, limits, overview, sessions, usage, users
from broker.http.admin import operator as desk
from broker.operators.errors import OperatorError

bp = Blueprint("admin", __name__, url_prefix="/admin")
for _module in (overview, users, limits, sessions, keys, blocks, audit, usage):
    bp.register_blueprint(_module.bp)
bp.register_error_handler(OperatorError, desk.answer)
