"""/admin: everything that the command line does, over HTTP, for callers with the role `operator`.

One module per resource. Each view is a thin call into `broker.operators`, as each command is, so both share
one implementation and one audit trail. Leaves who may call to `guards.require_operator` and the rejection of
other origins to `origins`.
"""

from __future__ import annotations

from flask import Blueprint

from broker.http.admin import (
    audit,
    blocks,
    budgets,
    keys,
    limits,
    operator,
    overview,
    sessions,
    suspension,
    teams,
    usage,
    usage_export,
    users,
)
from broker.operators.errors import OperatorError

bp = Blueprint("admin", __name__, url_prefix="/admin")
_MODULES = (
    overview,
    suspension,
    users,
    limits,
    teams,
    sessions,
    keys,
    blocks,
    audit,
    usage,
    usage_export,
    budgets,
)
for _module in _MODULES:
    bp.register_blueprint(_module.bp)
bp.register_error_handler(OperatorError, operator.answer)
