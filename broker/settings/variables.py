"""Reads the variables of the environment, and the files that `NAME_FILE` names, as containers provide them.

The only reader of `os.environ`. Also finds the variables that must not be set. Needs no large library, so
that a command which needs only the database has an answer at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from broker.settings.faults import SettingsError
from broker.settings.files import read_text
from broker.settings.table import REDIRECTING, SETTINGS, Setting

_QUOTES = ('""', "''", "``", "“”", "\u2018\u2019")
SECRET_FILE_BYTES = 64 * 1024
# Kubernetes sets these for each Service whose name begins with "broker". They are not settings.
SERVICE_LINKS = re.compile(
    r"BROKER(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
# Their BROKER_…_PORT looks like a misspelt setting, but has an address as its value.
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")
# The issuers in broker.toml decide which of these are valid.
CLIENT_SECRETS = re.compile(r"BROKER_OIDC_[A-Z0-9_]+_SECRET(_FILE)?")


def own(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    """`environ`, or the environment of this process in place of None."""
    return os.environ if environ is None else environ


def traces_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the standard variables of OpenTelemetry name a receiver. Its SDK reads them and all others."""
    found = own(environ)
    if found.get("OTEL_SDK_DISABLED", "").lower() == "true" or found.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(found.get(name) for name in names)


def database_url(environ: Mapping[str, str] | None = None) -> str:
    """The database's URL, for commands that only look into it. It holds a password.

    Raises `SettingsError` with the faults of all variables. Does not read `broker.toml`.
    """
    found, faults = read_all(own(environ))
    if faults := [*faults, *cross_faults(found)]:
        raise SettingsError(faults)
    return str(found["database_url"])


def read_all(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The values by attribute, secrets as plain text, and all faults."""
    found: dict[str, Any] = {}
    faults = [*unknown_faults(environ), *redirecting_faults(environ), *empty_faults(environ)]
    for setting in SETTINGS:
        try:
            found[setting.attribute] = read_variable(setting, environ)
        except ValueError as fault:
            faults.append(str(fault))
    return found, faults


def read_variable(setting: Setting, environ: Mapping[str, str]) -> Any:
    """The parsed value, or None. A secret is plain text. Raises `ValueError` with the whole fault."""
    name, text = _text(setting, environ)
    if text is None:
        if setting.required:
            also = f" (or {setting.name}_FILE)" if setting.secret else ""
            raise ValueError(f"{setting.name}{also} is not set: {setting.help}")
        text = setting.default
    if text is None:
        return None
    if setting.secret and text[:1] + text[-1:] in _QUOTES:
        raise ValueError(f"{name} is in quotes; remove them, because they would be part of the secret")
    try:
        return setting.parse(text)
    except ValueError as fault:
        raise ValueError(f"{name} {fault}") from None


def _text(setting: Setting, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """The name of the variable that is set, and its text.

    An empty variable counts as unset, because hosting platforms list variables without a value.
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
        text = read_text(path, SECRET_FILE_BYTES).strip()
    except OSError as error:
        raise ValueError(f"{name}: {path} cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name}: {path} is not text") from None
    if not text:
        raise ValueError(f"{name}: {path} is empty")
    return text


def unknown_faults(environ: Mapping[str, str]) -> list[str]:
    """A misspelled setting is a fault. With its default instead, limits would be lost silently."""
    known = {name + suffix for s in SETTINGS for name in s.names for suffix in ("", *["_FILE"] * s.secret)}
    faults = []
    for name in sorted(environ):
        expected = _is_service_link(name, environ[name]) or CLIENT_SECRETS.fullmatch(name)
        if name.startswith("BROKER_") and name not in known and not expected:
            close = get_close_matches(name, known, n=1)
            faults.append(f"{name} is not a known setting" + (f"; did you mean {close[0]}?" if close else ""))
    return faults


def _is_service_link(name: str, value: str) -> bool:
    link = SERVICE_LINKS.fullmatch(name) or (name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value))
    return bool(link)


def empty_faults(environ: Mapping[str, str]) -> list[str]:
    """gunicorn reads WEB_CONCURRENCY before our configuration, and exits if it is empty."""
    name = "WEB_CONCURRENCY"
    if name in environ and not environ[name].strip():
        return [f"{name} is set but empty, so gunicorn cannot start: remove it, or set a whole number"]
    return []


def cross_faults(found: Mapping[str, Any]) -> list[str]:
    """The faults that concern two settings together, and a database in memory."""
    faults = []
    api_key, secret_key = found.get("gemini_api_key"), found.get("secret_key")
    if api_key is not None and api_key == secret_key:
        faults.append("BROKER_SECRET_KEY must not be the same as GEMINI_API_KEY")
    faults += [
        f"BROKER_{name.upper()}_PREVIOUS must not be the same as BROKER_{name.upper()}"
        for name in ("secret_key", "signing_key")
        if found.get(name) is not None and found.get(name) == found.get(f"{name}_previous")
    ]
    url = found.get("database_url", "")
    if url == "sqlite://" or url == "sqlite:///" or ":memory:" in url:
        faults.append("BROKER_DATABASE_URL must be a file or a server; each worker would have its own memory")
    return faults


def redirecting_faults(environ: Mapping[str, str]) -> list[str]:
    return [
        f"{name} must not be set: it would redirect the calls to Google"
        for name in REDIRECTING
        if environ.get(name)
    ]
