"""The filter of the operators' page knows every action that the broker writes to the audit trail."""

from __future__ import annotations

import re
from pathlib import Path

from broker.identity.blocks import BlockKind

ROOT = Path(__file__).parents[2]
WRITTEN = re.compile(
    r"""(?:action=|_record\(\s*connection,\s*now,\s*(?:user\.)?\w+,\s*|recorded_refusals\([^()]*?,\s*"""
    r"""|refused\([\w.]+,\s*|_record\(connection, [^"]{0,60}?|\.record\(username,\s*)"([a-z][a-z.-]+)\""""
)


def test_filter_knows_every_action() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "broker").rglob("*.py"))
    written = set(WRITTEN.findall(source))
    assert {"token", "user.add", "limits.set", "session.end", "suspend", "next-token"} <= written
    written |= {f"{verb}.{kind}" for verb in ("block", "unblock") for kind in BlockKind}
    # They are no rows: no block has the first kind, and nothing lifts the second.
    written -= {f"{verb}.{BlockKind.UNKNOWN}" for verb in ("block", "unblock")}
    written -= {f"unblock.{BlockKind.ISSUED_BEFORE}"}
    words = (ROOT / "web/ops/audit-words.js").read_text()
    known = set(re.findall(r"'([a-z]+(?:[.-][a-z-]+)*)'", words.split("export const OUTCOMES")[0]))
    assert written - known == set()
    assert known - written == set()
