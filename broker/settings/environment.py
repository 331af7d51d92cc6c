"""The environment, read once: the only reader of `os.environ`.

`load` walks the table, collects every fault and raises them together. A secret may also come from the file
that `NAME_FILE` names, the way containers hand secrets out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from broker.profiles.profile import Profile
from broker.settings import document, values
from broker.settings.document import BrokerConfig
from broker.settings.faults import SettingsError
from broker.settings.table import DIVERTING, SETTINGS, Setting
from broker.settings.values import IPNetwork

SECRET_FILE_BYTES = 64 * 1024
# Kubernetes describes a Service that happens to be called "broker" with these; they are not ours to judge.
SERVICE_LINKS = re.compile(r"BROKER(_SERVICE_(HOST|PORT)|_PORT)(_\w+)?")

ProfileCheck = Callable[[Mapping[str, Profile]], Iterable[str]]


@dataclass(frozen=True)
class Settings:
    """Everything that an operator can set. `repr` shows no secret."""

    gemini_api_key: SecretStr
    secret_key: SecretStr
    database_url: SecretStr
    redis_url: SecretStr | None
    live_url: str
    """Without a slash at its end."""
    allowed_origins: tuple[str, ...]
    trusted_proxies: tuple[IPNetwork, ...]
    port: int
    web_concurrency: int
    threads: int
    log_level: str
    """Upper case, as `logging` spells it."""
    config_path: Path | None
    config: BrokerConfig

    @property
    def standin(self) -> bool:
        """Whether a local stand-in plays Google's part."""
        return values.is_loopback(urlsplit(self.live_url).hostname)


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
    if faults or config is None:
        raise SettingsError(faults)
    return Settings(**found, config=config)


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
        if name.startswith("BROKER_") and name not in known and not SERVICE_LINKS.fullmatch(name):
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
    database = found.get("database_url")
    url = database.get_secret_value() if database is not None else ""
    if url == "sqlite://" or url == "sqlite:///" or ":memory:" in url:
        faults.append("BROKER_DATABASE_URL must be a file or a server: each worker would have its own memory")
    return faults
