"""The environment, read once: the only reader of `os.environ`.

`load` walks the table, collects every fault and raises them together. A secret may also come from the file
that `NAME_FILE` names, the way containers hand secrets out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from broker.profiles.profile import Profile
from broker.settings import document
from broker.settings import parsers as values
from broker.settings.document import BrokerConfig
from broker.settings.faults import SettingsError
from broker.settings.parsers import IPNetwork
from broker.settings.table import DIVERTING, SETTINGS, Setting

SECRET_FILE_BYTES = 64 * 1024
# Kubernetes describes a Service that happens to be called "broker" with these; they are not ours to judge.
SERVICE_LINKS = re.compile(r"BROKER(_SERVICE_(HOST|PORT)|_PORT)(_\w+)?")
# Which of these there are is up to the issuers in broker.toml.
CLIENT_SECRETS = re.compile(r"BROKER_OIDC_[A-Z0-9_]+_SECRET(_FILE)?")

ProfileCheck = Callable[[Mapping[str, Profile]], Iterable[str]]


@dataclass(frozen=True)
class Settings:
    """Everything that an operator can set. `repr` shows no secret."""

    gemini_api_key: SecretStr
    secret_key: SecretStr
    database_url: SecretStr
    redis_url: SecretStr | None
    secret_key_previous: SecretStr | None
    signing_key: SecretStr | None
    signing_key_previous: SecretStr | None
    live_url: str
    """Without a slash at its end."""
    allowed_origins: tuple[str, ...]
    trusted_hosts: tuple[str, ...]
    trusted_proxies: tuple[IPNetwork, ...]
    port: int
    web_concurrency: int
    threads: int
    drain_seconds: int
    log_level: str
    """Upper case, as `logging` spells it."""
    config_path: Path | None
    config: BrokerConfig
    client_secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    """By issuer: what the broker shows to the issuer's token endpoint. A public client has none."""

    @property
    def standin(self) -> bool:
        """Whether a local stand-in plays Google's part."""
        return values.is_loopback(urlsplit(self.live_url).hostname)

    @property
    def secret_keys(self) -> list[str]:
        """The current one, then the one before it while that is still honoured."""
        both = (self.secret_key, self.secret_key_previous)
        return [key.get_secret_value() for key in both if key is not None]

    @property
    def signing_keys(self) -> tuple[str | None, str | None]:
        """PEM: the current one and the one before it."""
        current, previous = self.signing_key, self.signing_key_previous
        return (
            current.get_secret_value() if current else None,
            previous.get_secret_value() if previous else None,
        )


def load(environ: Mapping[str, str] | None = None, *, checks: Iterable[ProfileCheck] = ()) -> Settings:
    """The settings, or `SettingsError` with every fault at once.

    Each of `checks` gets the profiles of `broker.toml` and yields further faults; the app hands in the
    ones that need the Google SDK, which a command about users should not have to load.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, Any] = {}
    faults = [*_unknown(environ), *_diverting(environ)]
    for setting in SETTINGS:
        try:
            found[setting.attribute] = _value(setting, environ)
        except ValueError as fault:
            faults.append(str(fault))
    config = None
    if "config_path" in found:
        config, profiles, config_faults = document.read(found["config_path"])
        faults += config_faults
        faults += [fault for check in checks for fault in check(profiles)]
    faults += _together(found)
    client_secrets, secret_faults = _client_secrets(config, environ)
    faults += secret_faults
    if faults or config is None:
        raise SettingsError(faults)
    return Settings(**found, config=config, client_secrets=client_secrets)


def _value(setting: Setting, environ: Mapping[str, str]) -> Any:
    name, text = _text(setting, environ)
    if text is None:
        if setting.required:
            also = f" (or {setting.name}_FILE)" if setting.secret else ""
            raise ValueError(f"{setting.name}{also} is not set: {setting.help}")
        text = setting.default
    if text is None:
        return None
    try:
        value = setting.parse(text)
    except ValueError as fault:
        raise ValueError(f"{name} {fault}") from None
    return SecretStr(value) if setting.secret else value


def _text(setting: Setting, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """The name that decides and its text.

    An empty variable counts as unset: platforms list the ones that nobody filled.
    """
    for name in setting.names:
        direct = environ.get(name, "").strip()
        file_name = environ.get(f"{name}_FILE", "").strip() if setting.secret else ""
        if direct and file_name:
            raise ValueError(f"{name} and {name}_FILE are both set; keep one")
        if file_name:
            return f"{name}_FILE", _file(f"{name}_FILE", Path(file_name))
        if direct:
            return name, direct
    return setting.name, None


def _client_secrets(
    config: BrokerConfig | None, environ: Mapping[str, str]
) -> tuple[dict[str, SecretStr], list[str]]:
    """One variable for each issuer that names one; any other of this form is a slip of the pen."""
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
            name, "", "secret", values.client_secret,
            f"the issuer {issuer.name} has it as its client_secret_env.", required=True, secret=True,
        )  # fmt: skip
        try:
            found[issuer.name] = _value(setting, environ)
        except ValueError as fault:
            faults.append(str(fault))
    faults += [
        f"{name} is not a known setting: no issuer has it as its client_secret_env"
        for name in sorted(environ)
        if CLIENT_SECRETS.fullmatch(name) and name not in known
    ]
    return found, faults


def _file(name: str, path: Path) -> str:
    try:
        with path.open("rb") as source:
            text = source.read(SECRET_FILE_BYTES).decode().strip()
    except OSError as error:
        raise ValueError(f"{name}: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name}: {path} is not text") from None
    if not text:
        raise ValueError(f"{name}: {path} is empty")
    return text


def _unknown(environ: Mapping[str, str]) -> list[str]:
    """A misspelt setting is refused: silently falling back to its default is how limits get lost."""
    known = {name + suffix for s in SETTINGS for name in s.names for suffix in ("", *["_FILE"] * s.secret)}
    faults = []
    for name in sorted(environ):
        elsewhere = SERVICE_LINKS.fullmatch(name) or CLIENT_SECRETS.fullmatch(name)
        if name.startswith("BROKER_") and name not in known and not elsewhere:
            close = get_close_matches(name, known, n=1)
            faults.append(f"{name} is not a known setting" + (f"; {close[0]} is" if close else ""))
    return faults


def _diverting(environ: Mapping[str, str]) -> list[str]:
    return [
        f"{name} must not be set: it would divert the calls to Google"
        for name in DIVERTING
        if environ.get(name)
    ]


def _together(found: Mapping[str, Any]) -> list[str]:
    """What only shows when two settings are seen side by side."""
    faults = []
    api_key, secret_key = found.get("gemini_api_key"), found.get("secret_key")
    if api_key is not None and api_key == secret_key:
        faults.append("BROKER_SECRET_KEY must not be the same as GEMINI_API_KEY")
    faults += [
        f"BROKER_{name.upper()}_PREVIOUS must not be the same as BROKER_{name.upper()}"
        for name in ("secret_key", "signing_key")
        if found.get(name) is not None and found.get(name) == found.get(f"{name}_previous")
    ]
    database = found.get("database_url")
    url = database.get_secret_value() if database is not None else ""
    if url == "sqlite://" or url == "sqlite:///" or ":memory:" in url:
        faults.append("BROKER_DATABASE_URL must be a file or a server: each worker would have its own memory")
    return faults
