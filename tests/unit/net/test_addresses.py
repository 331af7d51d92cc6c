"""The address filter keeps outgoing connections away from the private network."""

from __future__ import annotations

import pytest

from broker.net.addresses import address_filter, is_loopback


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_hosts_are_recognized(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "localhost.example", "127.0.0.1.example", "10.0.0.1", "::2"])
def test_other_hosts_are_not_loopback(host: str | None) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "private_network", "address", "allowed"),
    [
        ("id.example", False, "8.8.8.8", True),
        ("id.example", False, "2001:4860:4860::8888", True),
        ("id.example", False, "10.0.0.1", False),
        ("id.example", False, "192.168.1.1", False),
        ("id.example", False, "172.16.0.1", False),
        ("id.example", False, "100.64.0.1", False),
        ("id.example", False, "127.0.0.1", False),
        ("id.example", False, "0.0.0.0", False),
        ("id.example", False, "169.254.169.254", False),
        ("id.example", False, "224.0.0.1", False),
        ("id.example", False, "::1", False),
        ("id.example", False, "fd00::1", False),
        ("id.example", False, "fe80::1%eth0", False),
        ("id.example", False, "::ffff:10.0.0.1", False),
        ("id.example", False, "::ffff:127.0.0.1", False),
        ("id.example", False, "ff02::1", False),
        ("id.example", True, "8.8.8.8", True),
        ("id.example", True, "10.0.0.1", True),
        ("id.example", True, "fd00::1", True),
        ("id.example", True, "::ffff:10.0.0.1", True),
        ("id.example", True, "::ffff:127.0.0.1", False),
        ("id.example", True, "fe80::1%eth0", False),
        ("id.example", True, "224.0.0.1", False),
        ("id.example", True, "127.0.0.1", False),
        ("id.example", True, "169.254.169.254", False),
        # An IPv4 address within an IPv6 address: NAT64, 6to4, Teredo, and older forms.
        ("id.example", False, "64:ff9b::8.8.8.8", True),
        ("id.example", False, "64:ff9b::10.0.0.1", False),
        ("id.example", False, "64:ff9b::127.0.0.1", False),
        ("id.example", False, "64:ff9b::169.254.169.254", False),
        ("id.example", False, "64:ff9b::224.0.0.1", False),
        ("id.example", False, "64:ff9b:1::8.8.8.8", False),
        ("id.example", False, "2002:a00:1::", False),
        ("id.example", False, "2002:a9fe:a9fe::1", False),
        ("id.example", False, "2002:7f00:1::", False),
        ("id.example", False, "2001:0:808:808:0:0:f5ff:fffe", False),
        ("id.example", False, "::10.0.0.1", False),
        ("id.example", False, "::ffff:0:10.0.0.1", False),
        ("id.example", False, "2001:4860::5efe:10.0.0.1", False),
        ("id.example", False, "2001:4860::200:5efe:10.0.0.1", False),
        ("id.example", False, "fec0::1", False),
        ("id.example", False, "::", False),
        ("id.example", True, "64:ff9b::10.0.0.1", True),
        ("id.example", True, "64:ff9b:1::10.0.0.1", True),
        ("id.example", True, "64:ff9b:1:a00:0:100::", True),
        ("id.example", True, "2002:a00:1::", True),
        ("id.example", True, "64:ff9b::127.0.0.1", False),
        ("id.example", True, "64:ff9b::169.254.169.254", False),
        ("id.example", True, "64:ff9b:1::169.254.169.254", False),
        ("id.example", True, "64:ff9b:1:a9fe:a9:fe00::", False),
        ("id.example", True, "64:ff9b:1:7f00:0:100::", False),
        ("id.example", True, "2002:a9fe:a9fe::1", False),
        ("id.example", True, "2001:0:808:808:0:0:5601:5601", False),
        ("id.example", True, "::127.0.0.1", False),
        ("id.example", True, "::ffff:0:127.0.0.1", False),
        ("id.example", True, "fd00::5efe:127.0.0.1", False),
        ("id.example", True, "0.0.0.0", False),
        ("id.example", True, "::", False),
        ("localhost", False, "64:ff9b::127.0.0.1", False),
        ("localhost", False, "2002:7f00:1::", False),
        ("localhost", False, "127.0.0.1", True),
        ("127.0.0.1", False, "127.0.0.1", True),
        ("localhost", False, "::1", True),
        ("localhost", False, "8.8.8.8", False),
        ("localhost", True, "10.0.0.1", False),
        ("localhost", False, "10.0.0.1", False),
    ],
)
def test_host_may_resolve_only_to_allowed_addresses(
    host: str, private_network: bool, address: str, allowed: bool
) -> None:
    assert address_filter(host, private_network=private_network)(address) is allowed
