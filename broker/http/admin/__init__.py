"""/admin: everything that the command line does, over HTTP, for people with the role `operator`.

One module per resource. Each view is a thin call into `ops`, `ops_limits` or `ops_keys`, which the commands
call too, so that there is one implementation and one audit trail. Leaves who is let in to
`guards.require_operator`, and that no other origin is to `origins`.
"""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("admin", __name__, url_prefix="/admin")
