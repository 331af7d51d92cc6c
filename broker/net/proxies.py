"""The operator's own proxies, and what they report about a client: its address, and whether it used TLS.

Anyone can write these headers. So only the entries that trusted proxies added count.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv6Address, ip_network

from broker.net import canonical

UNKNOWN = "unknown"
UNIX = "unix"
"""In place of a network: every peer on the Unix socket that the broker listens on."""


class Proxies:
    def __init__(self, trusted: Collection[canonical.IPNetwork | str]) -> None:
        self._trusts_unix = UNIX in trusted
        self._networks = tuple(network for network in trusted if not isinstance(network, str))
        self._told: set[str] = set()

    def client_address(self, peer: str | None, forwarded_for: str) -> str:
        """The peer, or behind trusted proxies the rightmost hop that is not one of them. IPv6 as its /64.

        UNKNOWN behind a Unix socket whose peer is not trusted, or does not report the client.
        """
        address = _address(peer)
        if not self.trusts(peer):
            return UNKNOWN if address is None else _text(address)
        for hop in filter(None, map(str.strip, reversed(forwarded_for.split(",")))):
            try:
                address = canonical.address(hop)
            except ValueError:
                self._tell("unreadable", f"X-Forwarded-For holds {hop[:80]!a}, which is not an address")
                break
            if not self._contains(address):
                break
        if address is None:
            self._tell("missing", "the proxy on the Unix socket sent no readable X-Forwarded-For")
            return UNKNOWN
        return _text(address)

    def ended_tls(self, peer: str | None, forwarded_proto: str) -> bool:
        """Whether a trusted proxy reports that the client used https."""
        schemes = {scheme.strip().lower() for scheme in forwarded_proto.split(",")}
        return self.trusts(peer) and "https" in schemes

    def trusts(self, peer: str | None) -> bool:
        """A peer without an address is on the Unix socket."""
        address = _address(peer)
        if address is not None:
            return self._contains(address)
        if not self._trusts_unix:
            self._tell(
                "unix",
                "the peer on the Unix socket is not trusted, so all clients count as one; "
                "if it is your proxy, add unix to BROKER_TRUSTED_PROXIES",
            )
        return self._trusts_unix

    def _contains(self, address: canonical.IPAddress) -> bool:
        return any(address in network for network in self._networks)

    def _tell(self, kind: str, reason: str) -> None:
        """Once per process: a proxy that is set up in the wrong way would do it with every request."""
        if kind not in self._told:
            import structlog  # only now: commands read the settings, and never load it

            self._told.add(kind)
            _log = structlog.get_logger("broker.http")
            _log.warning("client_address_unknown", reason=reason)


@lru_cache(maxsize=1024)  # each request asks for the same peer several times
def _address(peer: str | None) -> canonical.IPAddress | None:
    try:
        return canonical.address(peer or "")
    except ValueError:
        return None


def _text(address: canonical.IPAddress) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)
