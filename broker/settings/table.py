"""SETTINGS: every variable once, with its type, its default and a line of help.

The loader, the documentation and the tests all read this table; nothing else knows a variable's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.settings import parsers as values

GOOGLE_URL = "https://generativelanguage.googleapis.com"


@dataclass(frozen=True)
class Setting:
    name: str
    """The variable."""
    attribute: str
    """The attribute of `Settings` that it fills."""
    type: str
    """For people: what kind of text it is."""
    parse: Callable[[str], Any]
    help: str
    default: str | None = None
    """As it would be written in the environment; None means that nothing is assumed."""
    required: bool = False
    secret: bool = False
    """Kept as a `SecretStr`, and also read from the file that `NAME_FILE` names."""
    alias: str | None = None
    """The name that hosting platforms set by themselves; ours wins."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,) if self.alias is None else (self.name, self.alias)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "GEMINI_API_KEY", "gemini_api_key", "secret", values.api_key,
        "The Gemini API key that mints the tokens. It never leaves the server.",
        required=True, secret=True,
    ),
    Setting(
        "BROKER_SECRET_KEY", "secret_key", "secret", values.secret_key,
        "Signs sign-ins and bearers: 32 random bytes or more, the same for every worker and host.",
        required=True, secret=True,
    ),
    Setting(
        "BROKER_SECRET_KEY_PREVIOUS", "secret_key_previous", "secret", values.secret_key,
        "The secret before this one: what was signed with it holds until it expires. Unset it after a day.",
        secret=True,
    ),
    Setting(
        "BROKER_SIGNING_KEY", "signing_key", "secret PEM", values.signing_key,
        "An Ed25519 or P-256 private key that signs bearers, so that others can verify them. "
        "Unset: the secret signs them.",
        secret=True,
    ),
    Setting(
        "BROKER_SIGNING_KEY_PREVIOUS", "signing_key_previous", "secret PEM", values.honoured_key,
        "The signing key before this one, private or public: its bearers hold until they expire.",
        secret=True,
    ),
    Setting(
        "BROKER_CONFIG", "config_path", "path", values.path,
        "The broker.toml with plans, profiles and issuers. Unset: the one that is shipped.",
    ),
    Setting(
        "BROKER_DATABASE_URL", "database_url", "secret URL", values.database_url,
        "Users, sessions, counters and audit: SQLite (sqlite:///path) or PostgreSQL (postgresql://…).",
        default="sqlite:///var/broker.sqlite3", secret=True, alias="DATABASE_URL",
    ),
    Setting(
        "BROKER_REDIS_URL", "redis_url", "secret URL", values.redis_url,
        "Where the request counters live. Unset: the database holds them, just as exactly.",
        secret=True, alias="REDIS_URL",
    ),
    Setting(
        "BROKER_LIVE_URL", "live_url", "URL", values.live_url,
        "Where tokens are minted and sockets opened: Google, or a stand-in on loopback.",
        default=GOOGLE_URL,
    ),
    Setting(
        "BROKER_ALLOWED_ORIGINS", "allowed_origins", "list of origins", values.origins,
        "Other web origins whose pages may call the broker, each exact, separated by commas or spaces.",
        default="",
    ),
    Setting(
        "BROKER_TRUSTED_HOSTS", "trusted_hosts", "list of host names", values.hosts,
        "The names by which the broker is reached; a request for any other is refused. "
        "Unset: any name, or with a stand-in those of loopback.",
        default="",
    ),
    Setting(
        "BROKER_TRUSTED_PROXIES", "trusted_proxies", "list of networks", values.proxies,
        "Addresses or networks of your own proxies, whose X-Forwarded-For is believed.",
        default="",
    ),
    Setting("PORT", "port", "number", values.port, "The TCP port to listen on.", default="8080"),
    Setting(
        "WEB_CONCURRENCY", "web_concurrency", "number", values.workers, "Worker processes.", default="2",
    ),
    Setting(
        "BROKER_THREADS", "threads", "number", values.threads,
        "Threads of each worker, so how many requests it answers at once.", default="32",
    ),
    Setting(
        "BROKER_DRAIN_SECONDS", "drain_seconds", "number", values.drain_seconds,
        "Seconds between SIGTERM, when /readyz starts to fail, and the end of the listener. "
        "Set it to what your load balancer needs to notice.",
        default="0",
    ),
    Setting(
        "BROKER_LOG_LEVEL", "log_level", "DEBUG, INFO, WARNING or ERROR", values.log_level,
        "The least level that is logged.", default="INFO",
    ),
)  # fmt: skip

# The Google SDK reads these behind our back; each would send the key, or the request, somewhere else.
DIVERTING: tuple[str, ...] = (
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_GENAI_CLIENT_MODE",
    "GOOGLE_GENAI_HTTP_CLIENT",
    "GOOGLE_GENAI_USE_ENTERPRISE",
    "GOOGLE_GENAI_USE_VERTEXAI",
)
