"""Equivalent spellings of addresses, networks and hosts become one; malformed ones are recognized."""

from __future__ import annotations

import pytest

from broker.net import canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9:51234 ", "203.0.113.9"),
        ('"203.0.113.9:51234"', "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("::FFFF:a00:7", "10.0.0.7"),
        ("[::ffff:10.0.0.7]:80", "10.0.0.7"),
    ],
)
def test_spellings_of_an_address(text: str, expected: str) -> None:
    assert str(canonical.address(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "unknown", "_hidden", '"', "203.0.113", "203.0.113.9:x", "[2001:db8::1", "a.example", "1.2.3.4.5"],
)
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        canonical.address(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ("[::1]", "::1/128"),
        ("[2001:DB8::]/32", "2001:db8::/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ],
)
def test_spellings_of_a_network(text: str, expected: str) -> None:
    assert str(canonical.network(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("voice.example", "voice.example"),
        ("Voice.Example.", "voice.example"),
        ("VOICE.EXAMPLE:443", "voice.example"),
        ("voice.example:", "voice.example"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("[::1]:8080", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("live_broker:8080", "live_broker"),
        ("", None),
        ("a b", None),
        ("user@voice.example", None),
        ("voice.example/x", None),
        ("voice..example", None),
        ("voice.example:99999", None),
        ("[voice]", None),
    ],
)
def test_spellings_of_a_host(text: str, expected: str | None) -> None:
    assert canonical.host(text) == expected


@pytest.mark.parametrize(
    ("text", "scheme", "expected"),
    [
        ("Voice.example:443", "https", "voice.example"),
        ("voice.example:443", "http", "voice.example:443"),
        ("voice.example.", "https", "voice.example"),
        ("[0::1]:8080", "http", "[::1]:8080"),
        ("a b", "https", None),
    ],
)
def test_host_in_an_address(text: str, scheme: str, expected: str | None) -> None:
    assert canonical.netloc(text, scheme) == expected
