"""SETTINGS: every variable once, with its type, its default and a line of help.

The loader, the documentation and the tests read this table. No other module contains the name of a variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.settings import parsers, secret_parsers, store_urls

GOOGLE_URL = "https://generativelanguage.googleapis.com"


@dataclass(frozen=True)
class Setting:
    name: str
    """The name of the variable."""
    attribute: str
    """The attribute of `Settings` that it fills."""
    type: str
    """The kind of text, for the documentation."""
    parse: Callable[[str], Any]
    help: str
    default: str | None = None
    """Written as in the environment. None: no default."""
    required: bool = False
    secret: bool = False
    """Kept as a `SecretStr`. Can also come from the file that `NAME_FILE` names."""
    alias: str | None = None
    """The name that hosting platforms set. `name` takes precedence."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,) if self.alias is None else (self.name, self.alias)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "GEMINI_API_KEY", "gemini_api_key", "secret", secret_parsers.api_key,
        "The Gemini API key that mints the tokens. It never leaves the server.",
        required=True, secret=True,
    ),
    Setting(
        "BROKER_SECRET_KEY", "secret_key", "secret", secret_parsers.secret_key,
        "Signs sign-ins and bearer tokens. At least 32 random bytes, the same for every worker and host.",
        required=True, secret=True,
    ),
    Setting(
        "BROKER_SECRET_KEY_PREVIOUS", "secret_key_previous", "secret", secret_parsers.secret_key,
        "The previous secret. Sign-ins and tokens that it signed stay valid until they expire. "
        "Unset it after one day.",
        secret=True,
    ),
    Setting(
        "BROKER_SIGNING_KEY", "signing_key", "secret PEM", secret_parsers.signing_key,
        "An Ed25519 or P-256 private key that signs bearer tokens, so that other services can verify them. "
        "Unset: BROKER_SECRET_KEY signs them.",
        secret=True,
    ),
    Setting(
        "BROKER_SIGNING_KEY_PREVIOUS", "signing_key_previous", "secret PEM", secret_parsers.verification_key,
        "The previous signing key, private or public. Its bearer tokens stay valid until they expire.",
        secret=True,
    ),
    Setting(
        "BROKER_CONFIG", "config_path", "path", parsers.path,
        "The broker.toml with plans, profiles and issuers. Unset: the shipped file.",
    ),
    Setting(
        "BROKER_DATABASE_URL", "database_url", "secret URL", store_urls.database_url,
        "The database for users, sessions, counters and the audit trail: SQLite (sqlite:///path) or "
        "PostgreSQL (postgresql://…).",
        default="sqlite:///var/broker.sqlite3", secret=True, alias="DATABASE_URL",
    ),
    Setting(
        "BROKER_DATABASE_CONNECTIONS", "database_connections", "number", parsers.connections,
        "The most connections of each worker to PostgreSQL. Requests wait up to two seconds for one.",
        default="16",
    ),
    Setting(
        "BROKER_REDIS_URL", "redis_url", "secret URL", store_urls.redis_url,
        "The Redis server for the request counters. Unset: the database counts them, equally exactly.",
        secret=True, alias="REDIS_URL",
    ),
    Setting(
        "BROKER_LIVE_URL", "live_url", "URL", parsers.live_url,
        "The Live API that mints tokens and opens sockets: Google, or a stand-in on loopback.",
        default=GOOGLE_URL,
    ),
    Setting(
        "BROKER_ALLOWED_ORIGINS", "allowed_origins", "list of origins", parsers.origins,
        "Other web origins whose pages may call the broker: exact origins, separated by commas or spaces.",
        default="",
    ),
    Setting(
        "BROKER_TRUSTED_HOSTS", "trusted_hosts", "list of host names", parsers.hosts,
        "The host names of the broker. Requests with another Host header are rejected. "
        "Unset: any host name; with a stand-in, only loopback.",
        default="",
    ),
    Setting(
        "BROKER_TRUSTED_PROXIES", "trusted_proxies", "list of networks", parsers.proxies,
        "Addresses or networks of your own proxies; `unix` for a proxy that connects to a Unix socket. "
        "The broker trusts their X-Forwarded-For and X-Forwarded-Proto.",
        default="",
    ),
    Setting("PORT", "port", "number", parsers.port, "The TCP port to listen on.", default="8080"),
    Setting(
        "WEB_CONCURRENCY", "web_concurrency", "number", parsers.workers, "Worker processes.", default="2",
    ),
    Setting(
        "BROKER_THREADS", "threads", "number", parsers.threads,
        "Threads of each worker: the number of requests that it answers at once. Others wait in a queue.",
        default="32",
    ),
    Setting(
        "BROKER_DRAIN_SECONDS", "drain_seconds", "number", parsers.drain_seconds,
        "Seconds between SIGTERM, when /readyz starts to fail, and the end of the listener. "
        "Set it to the time that your load balancer needs to notice.",
        default="0",
    ),
    Setting(
        "BROKER_LOG_LEVEL", "log_level", "DEBUG, INFO, WARNING or ERROR", parsers.log_level,
        "The lowest level that is logged.", default="INFO",
    ),
)  # fmt: skip

# The Google SDK reads these by itself. Each of them would send the key or the request to another server.
REDIRECTING: tuple[str, ...] = (
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_GENAI_CLIENT_MODE",
    "GOOGLE_GENAI_HTTP_CLIENT",
    "GOOGLE_GENAI_USE_ENTERPRISE",
    "GOOGLE_GENAI_USE_VERTEXAI",
)
