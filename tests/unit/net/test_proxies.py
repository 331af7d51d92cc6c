"""What proxies report: every spelling of a trusted hop is skipped, and an unreadable entry is logged once."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from broker.net.proxies import UNKNOWN, Proxies
from broker.settings.parsers import proxies


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "expected"),
    [
        ("10.0.0.0/8", "::ffff:10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "::ffff:10.0.0.7", "203.0.113.9, ::ffff:10.1.1.1", "203.0.113.9"),
        ("::ffff:10.0.0.0/104", "10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.7", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.7", "203.0.113.9:51234", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.7", '"[2001:db8::1]:443"', "2001:db8::/64"),
        ("10.0.0.0/8", "10.0.0.7", "198.51.100.1, 203.0.113.9:1, 10.0.0.8:2", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.7", "203.0.113.9, ,", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.7", "", "10.0.0.7"),
        ("10.0.0.0/8", "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("::1", "::1", "10.0.0.7", "10.0.0.7"),
        ("unix", "", "203.0.113.9", "203.0.113.9"),
        ("unix", None, "203.0.113.9, 198.51.100.2", "198.51.100.2"),
        ("unix 10.0.0.0/8", "", "203.0.113.9, 10.0.0.8", "203.0.113.9"),
        ("unix", "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("unix", "", "", UNKNOWN),
        ("10.0.0.0/8", "", "203.0.113.9", UNKNOWN),
    ],
)
def test_client_address(trusted: str, peer: str | None, forwarded_for: str, expected: str) -> None:
    assert Proxies(proxies(trusted)).client_address(peer, forwarded_for) == expected


@pytest.mark.parametrize("unreadable", ["unknown", "_proxy1", "203.0.113", "a.example"])
def test_unreadable_entry_counts_as_the_proxy_and_is_told_once(unreadable: str) -> None:
    seen = Proxies(proxies("10.0.0.0/8"))
    with capture_logs() as lines:
        for _ in range(3):
            assert seen.client_address("10.0.0.7", f"203.0.113.9, {unreadable}") == "10.0.0.7"
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("client_address_unknown", "warning")
    assert unreadable in line["reason"]


def test_untrusted_unix_socket_is_told_once() -> None:
    seen = Proxies(proxies("10.0.0.0/8"))
    with capture_logs() as lines:
        for peer in ("", None, ""):
            assert not seen.trusts(peer)
    assert ["BROKER_TRUSTED_PROXIES" in line["reason"] for line in lines] == [True]


@pytest.mark.parametrize("text", ["::ffff:0:0/96", "::ffff:0:0/100", "0.0.0.0/0", "UNIX?", "10.0.0.1/8"])
def test_too_wide_or_invalid_network_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"too many|which is not"):
        proxies(text)


@pytest.mark.parametrize(
    ("peer", "forwarded_proto", "expected"),
    [
        ("10.0.0.7", "https", True),
        ("::ffff:10.0.0.7", "HTTPS, http", True),
        ("10.0.0.7", "http", False),
        ("10.0.0.7", "", False),
        ("203.0.113.7", "https", False),
        ("", "https", True),
    ],
)
def test_tls_that_a_proxy_ended(peer: str, forwarded_proto: str, expected: bool) -> None:
    assert Proxies(proxies("unix 10.0.0.0/8")).ended_tls(peer, forwarded_proto) is expected
