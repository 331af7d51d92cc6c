"""Loads all settings from the environment and `broker.toml`.

If a setting is invalid, `load` raises one error that lists every problem.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from broker.net.addresses import is_loopback
from broker.net.canonical import IPNetwork
from broker.profiles.profile import Profile
from broker.settings import document, permissions, secret_parsers
from broker.settings.document import BrokerConfig
from broker.settings.faults import SettingsError
from broker.settings.prices import PriceList
from broker.settings.table import SETTINGS, Setting
from broker.settings.variables import CLIENT_SECRETS, cross_faults, own, read_all, read_variable

ProfileCheck = Callable[[Mapping[str, Profile]], Iterable[str]]


@dataclass(frozen=True)
class Settings:
    """All settings. `repr` shows no secret."""

    gemini_api_key: SecretStr
    secret_key: SecretStr
    database_url: SecretStr
    database_connections: int
    redis_url: SecretStr | None
    secret_key_previous: SecretStr | None
    signing_key: SecretStr | None
    signing_key_previous: SecretStr | None
    live_url: str
    """Without a slash at the end."""
    allowed_origins: tuple[str, ...]
    trusted_hosts: tuple[str, ...]
    trusted_proxies: tuple[IPNetwork | str, ...]
    """Networks, and the word `unix` for the peer on a Unix socket."""
    port: int
    web_concurrency: int
    threads: int
    drain_seconds: int
    log_level: str
    """Upper case, as `logging` spells it."""
    config_path: Path | None
    config: BrokerConfig
    client_secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    """Issuer name -> client secret for its token endpoint. A public client has none."""
    warnings: tuple[str, ...] = ()
    """Problems that prevent no start: files that others can use, and models without a price."""

    @property
    def standin(self) -> bool:
        """Whether the broker uses a local stand-in instead of Google."""
        return is_loopback(urlsplit(self.live_url).hostname)

    @property
    def config_digest(self) -> str:
        """Twelve hexadecimal digits that tell one `broker.toml` from another: the same on hosts that agree.

        Keyed by the secret, because anyone may read it from `/readyz`.
        """
        document = self.config.model_dump_json().encode()
        key = self.secret_keys[0].encode()
        return hmac.digest(key, b"live-broker config digest\n" + document, "sha256").hex()[:12]

    @property
    def secret_keys(self) -> list[str]:
        """The current secret, then the previous one if it is set."""
        both = (self.secret_key, self.secret_key_previous)
        return [key.get_secret_value() for key in both if key is not None]

    @property
    def signing_keys(self) -> tuple[str | None, str | None]:
        """The current and the previous key in PEM."""
        current, previous = self.signing_key, self.signing_key_previous
        return (
            current.get_secret_value() if current else None,
            previous.get_secret_value() if previous else None,
        )


def load(environ: Mapping[str, str] | None = None, *, checks: Iterable[ProfileCheck] = ()) -> Settings:
    """The settings. Raises `SettingsError` with all faults together.

    Each of `checks` gets the profiles of `broker.toml` and returns more faults. The app passes the checks
    that need the Google SDK, so that a command about users need not load it.
    """
    environ = own(environ)
    found, faults = read_all(environ)
    config = None
    if "config_path" in found:
        config, profiles, config_faults = document.read(found["config_path"])
        faults += config_faults
        faults += [fault for check in checks for fault in check(profiles)]
    faults += cross_faults(found)
    client_secrets, secret_faults = _client_secrets(config, environ)
    faults += secret_faults
    if faults or config is None:
        raise SettingsError(faults)
    warnings = (
        *permissions.warnings(environ, found["config_path"], found["database_url"]),
        *unpriced(config),
    )
    for setting in SETTINGS:
        if setting.secret and found[setting.attribute] is not None:
            found[setting.attribute] = SecretStr(found[setting.attribute])
    return Settings(**found, config=config, client_secrets=client_secrets, warnings=warnings)


def unpriced(config: BrokerConfig) -> Sequence[str]:
    """A warning for each model without a price."""
    models = [model for profile in config.profiles.values() for model in profile.models]
    return PriceList(config.prices).warnings(models, datetime.now(UTC))


def _client_secrets(
    config: BrokerConfig | None, environ: Mapping[str, str]
) -> tuple[dict[str, SecretStr], list[str]]:
    """The client secrets by issuer name, and the faults. A secret that no issuer names is a fault."""
    if config is None:
        return {}, []
    found: dict[str, SecretStr] = {}
    faults: list[str] = []
    known: set[str] = set()
    for issuer in config.issuers:
        if issuer.client_secret_env is None:
            continue
        name = f"BROKER_OIDC_{issuer.client_secret_env}_SECRET"
        known |= {name, f"{name}_FILE"}
        setting = Setting(
            name, "", "secret", secret_parsers.client_secret,
            f"the issuer {issuer.name} names it in client_secret_env.", required=True, secret=True,
        )  # fmt: skip
        try:
            found[issuer.name] = SecretStr(read_variable(setting, environ))
        except ValueError as fault:
            faults.append(str(fault))
    faults += [
        f"{name} is not a known setting: no issuer names it in client_secret_env"
        for name in sorted(environ)
        if CLIENT_SECRETS.fullmatch(name) and name not in known
    ]
    return found, faults
