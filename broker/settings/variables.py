"""Reads one variable of the environment, or the file that `NAME_FILE` names, as containers provide secrets.

Also finds the variables that must not be set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from broker.settings.table import REDIRECTING, SETTINGS, Setting

SECRET_FILE_BYTES = 64 * 1024
# Kubernetes sets these for a Service that is named "broker". They are not settings.
SERVICE_LINKS = re.compile(r"BROKER(_SERVICE_(HOST|PORT)|_PORT)(_\w+)?")
# The issuers in broker.toml decide which of these are valid.
CLIENT_SECRETS = re.compile(r"BROKER_OIDC_[A-Z0-9_]+_SECRET(_FILE)?")


def read_variable(setting: Setting, environ: Mapping[str, str]) -> Any:
    """The parsed value, or None. Raises `ValueError` with the whole fault."""
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
        with path.open("rb") as source:
            text = source.read(SECRET_FILE_BYTES).decode().strip()
    except OSError as error:
        raise ValueError(f"{name}: {path} cannot be read ({error.strerror})") from None
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
        expected = SERVICE_LINKS.fullmatch(name) or CLIENT_SECRETS.fullmatch(name)
        if name.startswith("BROKER_") and name not in known and not expected:
            close = get_close_matches(name, known, n=1)
            faults.append(f"{name} is not a known setting" + (f"; did you mean {close[0]}?" if close else ""))
    return faults


def redirecting_faults(environ: Mapping[str, str]) -> list[str]:
    return [
        f"{name} must not be set: it would redirect the calls to Google"
        for name in REDIRECTING
        if environ.get(name)
    ]
