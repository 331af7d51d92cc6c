"""Parses the text of one variable to its value. `secret_parsers.py` parses the secrets
and `store_urls.py` the addresses of the stores.

Each function returns the value or raises `ValueError` with a sentence that completes "NAME …". A sentence
quotes the text only if the text cannot contain a secret.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from broker.net import canonical
from broker.net.addresses import is_loopback
from broker.net.proxies import UNIX

# Pages inside an app. No web page has such an origin.
APP_SCHEMES = ("capacitor", "ionic", "tauri")
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# 10.0.0.0/8 and fd00::/8 are the widest private networks.
WIDEST_PREFIX = 8
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def live_url(text: str) -> str:
    """The address of the Live API. It gets the API key, so it must be Google's or on loopback."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an https:// address")
    if parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"):
        raise ValueError("must be only a scheme, a host and an optional port")
    if not is_loopback(parts.hostname):
        if parts.scheme != "https":
            raise ValueError("must be https, unless its host is loopback")
        if not re.fullmatch(rf"({_LABEL}\.)+googleapis\.com", parts.hostname):
            raise ValueError("must be Google or loopback, because the API key is sent there")
    return _address(parts)


def origins(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_origin(item) for item in _items(text)))


def _origin(text: str) -> str:
    """Exactly the text that a browser sends in `Origin`; any other text would never match."""
    if text == "null" or "*" in text:
        raise ValueError(f"contains {text!r}: each origin must be exact")
    parts = _split(text)
    schemes = ("http", "https", *APP_SCHEMES)
    if parts.scheme not in schemes or not parts.hostname or parts.username or parts.password:
        raise ValueError("contains an item that is not an origin such as https://app.example")
    if parts.path or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(f"contains {text!r}: an origin has no path, not even a slash")
    is_local = is_loopback(parts.hostname) or parts.hostname.endswith(".localhost")
    if parts.scheme == "http" and not is_local:
        raise ValueError(f"contains {text!r}: only loopback may use http")
    if parts.port is not None and parts.port == {"http": 80, "https": 443}.get(parts.scheme):
        raise ValueError(f"contains {text!r}: browsers omit the default port")
    return _address(parts)


def hosts(text: str) -> tuple[str, ...]:
    """Host names without ports, in one spelling. `.example.com` also matches every subdomain."""
    names = []
    for item in _items(text):
        dot = "." if item.startswith(".") else ""
        name = canonical.host(item.removeprefix("."))
        has_port = ":" in item and not item.endswith("]")
        if name is None or has_port:
            raise ValueError(f"contains {item!r}, which is not a host name (without port, path or *)")
        names.append(dot + name)
    return tuple(names)


def proxies(text: str) -> tuple[canonical.IPNetwork | str, ...]:
    """Networks, and UNIX for the peer on a Unix socket."""
    networks: list[canonical.IPNetwork | str] = []
    for item in _items(text):
        if item == UNIX:
            networks.append(UNIX)
            continue
        try:
            network = canonical.network(item)
        except ValueError:
            raise ValueError(
                f"contains {item!r}, which is not an address, a network such as 10.0.0.0/8, or the word unix"
            ) from None
        if network.prefixlen < WIDEST_PREFIX:
            raise ValueError("trusts too many addresses; any client could then forge its address")
        networks.append(network)
    return tuple(networks)


def port(text: str) -> int:
    return _whole(text, 1, 65535)


def workers(text: str) -> int:
    return _whole(text, 1, 64)


def threads(text: str) -> int:
    return _whole(text, 2, 512)


def connections(text: str) -> int:
    return _whole(text, 2, 200)


def drain_seconds(text: str) -> int:
    return _whole(text, 0, 300)


def log_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text.upper()


def path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, but this user has no home folder; write the whole path") from None


def _whole(text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(text)


def _items(text: str) -> list[str]:
    return [item for item in re.split(r"[\s,]+", text) if item]


def _address(parts: SplitResult) -> str:
    """Written like browsers do: lower case, no empty port, brackets around IPv6."""
    host = canonical.host(parts.netloc.rpartition("@")[2]) or parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if parts.port is None else f":{parts.port}")


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError:
        raise ValueError("contains a malformed address") from None
    if not re.fullmatch(r"[!-\[\]-~]+", text):
        raise ValueError("contains a malformed address")
    return parts
