"""A local Gemini Live API: the token endpoint, the models list and the socket, on one loopback port.

It serves people without a key, and tests. It imports nothing from the rest of `broker`, so it is an
independent witness of what the broker and the client send. From Python:

    with StandIn(port=0) as standin:
        standin.url, standin.control.scenario("mint-status", status=429)

As a command: `python -m broker.standin`. At start it prints `server.NOT_IMITATED`, the list of things that it
does not imitate.
"""

from __future__ import annotations

import sys

try:
    from broker.standin.server import StandIn
except ImportError as missing:
    # `python -m` imports this file first, so the command itself could not explain it.
    if sys.argv[:1] != ["-m"]:
        raise
    raise SystemExit(f"The stand-in needs the extra `standin` ({missing.name} is missing).") from None

__all__ = ["StandIn"]
