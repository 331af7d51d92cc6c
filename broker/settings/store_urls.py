"""Parses the addresses of the stores: SQLite, PostgreSQL and Redis.

Drivers refuse many faults only at the first connection: an unknown parameter, a value that they cannot use,
three hosts with two ports. Here these are faults at start. Each function returns the value or raises
`ValueError` with a sentence that completes "NAME …". No sentence quotes a value: a URL holds a password.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

# The drivers are imported where they are needed: most commands use one of them only.

# libpq reads these only while it connects.
_NUMBERS = ("connect_timeout", "tcp_user_timeout", "keepalives", "keepalives_idle", "keepalives_interval",
            "keepalives_count")  # fmt: skip
_NO_FOLDER = "/nonexistent"
_AT = 'contains an "@" in the password; write it as %40 (and / as %2F, ? as %3F)'


def database_url(text: str) -> str:
    """In SQLAlchemy's form. Hosting platforms provide `postgres://`, which names no driver."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError("is not a database URL")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        return _postgresql(rest)
    if scheme in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(rest)
    raise ValueError("must begin with sqlite:///, postgresql:// or postgres://")


def redis_url(text: str) -> str:
    _refuse_stray_at(text.partition("://")[2])  # the last "@" ends the password
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("contains a malformed address") from None
    if not re.fullmatch(r"[!-\[\]-~]+", text) or port == 0:
        raise ValueError("contains a malformed address")
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("has no host")
    if parts.scheme != "unix" and not re.fullmatch(r"/?|/[0-9]{1,5}", parts.path):
        raise ValueError("must end with the number of a database, such as /0")
    _try_redis(text, parts.query)
    return text


def password_of(url: str) -> set[str]:
    """The password in a URL, as written and decoded, so that neither is printed."""
    authority = re.split(r"[/?]", url.partition("://")[2], maxsplit=1)[0]
    written = authority.rpartition("@")[0].partition(":")[2]
    query = dict(parse_qsl(url.partition("?")[2]))
    return {written, unquote(written), query.get("password", "")} - {""}


def shown(url: str) -> str:
    """The address in a URL, for people: without user, password and options, which may hold a password."""
    scheme, _, rest = url.partition("://")
    address, _, query = rest.partition("?")
    if scheme == "sqlite":
        return unquote(address.removeprefix("/"))
    hosts = dict(parse_qsl(query)).get("host", "")
    authority, slash, path = address.partition("/")
    return f"{scheme.partition('+')[0]}://{authority.rpartition('@')[2] or hosts}{slash}{path}"


def _sqlite(rest: str) -> str:
    if "?" in rest:
        raise ValueError("has parameters; SQLite takes none")
    # Whether the path is missing is checked together with databases in memory.
    if (rest and not rest.startswith("/")) or rest.startswith("/file:"):
        raise ValueError("must be sqlite:///path, with four slashes before an absolute path")
    # The path is meant as it is written: a folder may be called "a%2Fb". SQLAlchemy would decode it.
    return f"sqlite://{rest.replace('%', '%25')}"


def _postgresql(rest: str) -> str:
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    _refuse_stray_at(rest, most=1)
    if not re.fullmatch(r"[!-\[\]-~]*", rest):
        raise ValueError("contains a malformed address")
    names = [name for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)]
    if "ssl" in names:
        raise ValueError("has the parameter 'ssl', which PostgreSQL does not know; write sslmode=require")
    try:
        found = conninfo_to_dict(f"postgresql://{rest}")
    except Error as fault:
        raise ValueError(_without_values(str(fault), names)) from None
    hosts = str(found.get("host") or found.get("hostaddr") or "").split(",")
    if not any(hosts):
        raise ValueError("has no host")
    ports = str(found.get("port") or "").split(",")
    if len(ports) not in (1, len(hosts)):
        raise ValueError(f"has {len(hosts)} hosts and {len(ports)} ports; give each host its port")
    for name in _NUMBERS:
        if not re.fullmatch(r"-?[0-9]{1,9}", str(found.get(name, "0"))):
            raise ValueError(f"has the parameter {name!r} without a whole number")
    _try_libpq({name: str(value) for name, value in found.items()}, len(hosts))
    if len(hosts) == 1 and "port" not in names:
        return f"postgresql+psycopg://{rest}"
    return _with_hosts(found, ports * (len(hosts) // len(ports)))


def _with_hosts(found: dict[str, str | int | None], ports: list[str]) -> str:
    """SQLAlchemy reads several hosts from the query only, and wants a port for each."""
    user, password, name = (
        quote(str(found.pop(key, "") or ""), safe="") for key in ("user", "password", "dbname")
    )
    signed = user + (f":{password}" if password else "") + ("@" if user else "")
    if any(ports):
        found["port"] = ",".join(ports)
    return f"postgresql+psycopg://{signed}/{name}?{urlencode(found)}"


def _try_libpq(found: dict[str, str], hosts: int) -> None:
    """libpq checks its options before it connects. The socket does not exist, so it never connects."""
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    tried = {name: value for name, value in found.items() if name not in ("hostaddr", "password")}
    connection = pq.PGconn.connect_start(
        make_conninfo(**{**tried, "host": ",".join([_NO_FOLDER] * hosts)}).encode()
    )
    fault = connection.error_message.decode(errors="replace").strip()
    connection.finish()
    if _NO_FOLDER not in fault:
        raise ValueError(_without_values(fault, list(found)))


def _without_values(fault: str, names: list[str]) -> str:
    """A fault of libpq may quote a value, which may be the password."""
    named = next((name for name in names if re.search(rf"\b{re.escape(name)}\b", fault)), None)
    if named is None:
        return "has a port that is not one" if "port" in fault else "contains a malformed address"
    unknown = "URI query parameter" in fault
    return f"has the parameter {named!r}, " + (
        "which PostgreSQL does not know" if unknown else "with a value that PostgreSQL does not know"
    )


def _try_redis(text: str, query: str) -> None:
    from redis import ConnectionPool, RedisError

    try:
        # This makes the connection's object. It connects at its first command only.
        ConnectionPool.from_url(text).make_connection()
    except (TypeError, ValueError, RedisError, OSError) as fault:
        names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        named = next((name for name in names if repr(name) in str(fault)), None)
        if named is None and len(names) == 1:
            named = names[0]
        what = f"has the parameter {named!r}" if named else "has a parameter"
        raise ValueError(f"{what} or a value of it that Redis does not know") from None


def _refuse_stray_at(rest: str, *, most: int | None = None) -> None:
    """The driver would take what follows an "@" of the password for the host, and look it up."""
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    found = authority.count("@")
    if rest.count("@") > found or (most is not None and found > most):
        raise ValueError(_AT)
