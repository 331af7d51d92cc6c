"""A local Gemini Live API: the token endpoint, the models list and the socket, on one loopback port.

For people without a key and for tests. It imports nothing from the rest of `broker`, so that it stays an
independent witness of what the broker and the client put on the wire. From Python:

    with StandIn(port=0) as standin:
        standin.url, standin.control.scenario("mint-status", status=429)

As a command: `python -m broker.standin`. What it does not imitate is `server.NOT_IMITATED`, printed at
start.
"""

from broker.standin.server import StandIn

__all__ = ["StandIn"]
