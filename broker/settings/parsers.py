"""From the text of one variable to its value.

Each function returns the value or raises `ValueError` with a sentence that completes "NAME …". No sentence
quotes the text that it was given where that text may hold a secret.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

IPNetwork = IPv4Network | IPv6Network

GOOGLE_DOMAIN = ".googleapis.com"
# 10.0.0.0/8 and fd00::/8 are the widest networks that anybody has of his own.
WIDEST_PREFIX = 8
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

# What people leave in a template; long enough that a random key all but never contains one.
PLACEHOLDERS = (
    "change", "default", "example", "insecure", "password", "placeholder", "replace", "secret",
    "your-", "your_", "yourapikey", "xxxxxx", "todo-", "fixme", "<", ">",
)  # fmt: skip
SECRET_LENGTH = 32
# A random text of 32 hexadecimal digits has about 14 different characters and 25 different steps from one
# character to the next; a typed pattern has few of one or the other.
SECRET_VARIETY = 8
_PEM_ADVICE = "make one with: openssl genpkey -algorithm ed25519"


def is_loopback(host: str | None) -> bool:
    """True for `localhost` and for literal loopback addresses; a name is never resolved."""
    if not host:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def api_key(text: str) -> str:
    """A key for the Gemini API. Its shape is Google's to change, so no prefix and no length is asked for."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be printable ASCII without spaces")
    if text.startswith("auth_tokens/"):
        raise ValueError("is an ephemeral token; an API key is needed to mint tokens")
    if _is_placeholder(text):
        raise ValueError("still holds a placeholder")
    return text


def secret_key(text: str) -> str:
    """Signs our own bearers, so it must be nothing that anybody could guess."""
    advice = 'make one with: python -c "import secrets; print(secrets.token_hex(32))"'
    if len(text.encode()) < SECRET_LENGTH:
        raise ValueError(f"is shorter than {SECRET_LENGTH} bytes; {advice}")
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    repeats = text in (text + text)[1:-1]
    if _is_placeholder(text) or repeats or len(set(text)) < SECRET_VARIETY or len(steps) < SECRET_VARIETY:
        raise ValueError(f"is a placeholder or a pattern, not a random secret; {advice}")
    return text


def signing_key(text: str) -> str:
    """A private key in PEM. In one line, with `\\n` for the ends of lines, it is understood too."""
    return _pem(text, private=True)


def honoured_key(text: str) -> str:
    return _pem(text, private="PRIVATE KEY" in text)


def _pem(text: str, *, private: bool) -> str:
    pem = text.replace("\\n", "\n")
    try:
        key: object = (
            load_pem_private_key(pem.encode(), None).public_key()
            if private
            else load_pem_public_key(pem.encode())
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        kind = "private" if private else "public"
        raise ValueError(f"is not a {kind} key in PEM without a passphrase; {_PEM_ADVICE}") from None
    p256 = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    if not p256 and not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"must be an Ed25519 or a P-256 key; {_PEM_ADVICE}")
    return pem


def client_secret(text: str) -> str:
    """Shown to an issuer's token endpoint; the issuer made it, so no length and no shape is asked for."""
    if not re.fullmatch(r"[ -~]+", text):
        raise ValueError("must be printable ASCII")
    return text


def _is_placeholder(text: str) -> bool:
    return any(word in text.lower() for word in PLACEHOLDERS)


def database_url(text: str) -> str:
    """SQLAlchemy's form. Platforms hand out `postgres://`, which names no driver."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError("is not a database URL")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        if not _split(text).hostname and "host=" not in rest:
            raise ValueError("names no host")
        return f"postgresql+psycopg://{rest}"
    if scheme in ("sqlite", "sqlite+pysqlite"):
        return f"sqlite://{rest}"
    raise ValueError("must begin with sqlite:///, postgresql:// or postgres://")


def redis_url(text: str) -> str:
    parts = _split(text)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("names no host")
    return text


def live_url(text: str) -> str:
    """Where tokens are minted and sockets opened. The API key goes there: Google's or this machine."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an https:// address")
    if parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"):
        raise ValueError("must be a scheme, a host and perhaps a port, nothing else")
    if not is_loopback(parts.hostname):
        if parts.scheme != "https":
            raise ValueError("must be https, unless its host is this machine's loopback")
        if not parts.hostname.endswith(GOOGLE_DOMAIN):
            raise ValueError("is neither Google's nor on loopback; the API key would be sent there")
    return _address(parts)


def origins(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_origin(item) for item in _items(text)))


def _origin(text: str) -> str:
    """Exactly what a browser puts into `Origin`, or it would never match."""
    if text == "null" or "*" in text:
        raise ValueError(f"holds {text!r}: each origin must be named exactly")
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError("holds an item that is not an origin such as https://app.example")
    if parts.path or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(f"holds {text!r}: an origin has no path, not even a slash")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"holds {text!r}: only loopback may be plain http")
    if parts.port == {"http": 80, "https": 443}[parts.scheme]:
        raise ValueError(f"holds {text!r}: browsers leave the default port out")
    return _address(parts)


def hosts(text: str) -> tuple[str, ...]:
    """Names without ports; `.example.com` also stands for every name below it."""
    items = _items(text)
    for item in items:
        if not re.fullmatch(r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]", item):
            raise ValueError(f"holds {item!r}, which is no host name (no port, no address of a page, no *)")
    return tuple(item.lower() for item in items)


def proxies(text: str) -> tuple[IPNetwork, ...]:
    networks: list[IPNetwork] = []
    for item in _items(text):
        try:
            network = ip_network(item)
        except ValueError:
            raise ValueError(
                f"holds {item!r}, which is not an address or a network such as 10.0.0.0/8"
            ) from None
        if network.prefixlen < WIDEST_PREFIX:
            raise ValueError("trusts far too many addresses; any client could then claim another's")
        networks.append(network)
    return tuple(networks)


def port(text: str) -> int:
    return _whole(text, 1, 65535)


def workers(text: str) -> int:
    return _whole(text, 1, 64)


def threads(text: str) -> int:
    return _whole(text, 2, 512)


def drain_seconds(text: str) -> int:
    return _whole(text, 0, 300)


def log_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text.upper()


def path(text: str) -> Path:
    return Path(text).expanduser()


def _whole(text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(text)


def _items(text: str) -> list[str]:
    return [item for item in re.split(r"[\s,]+", text) if item]


def _address(parts: SplitResult) -> str:
    """Spelt as browsers do: lower case, no empty port, brackets around IPv6."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if parts.port is None else f":{parts.port}")


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError:
        raise ValueError("holds a malformed address") from None
    if not re.fullmatch(r"[!-\[\]-~]+", text):
        raise ValueError("holds a malformed address")
    return parts
