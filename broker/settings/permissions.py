"""Which files of the settings other users of this machine can read or write. A warning, not a fault.

Containers and platforms often mount secrets with permissions that the operator cannot choose.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from broker.settings.table import SETTINGS
from broker.settings.variables import CLIENT_SECRETS

_OTHERS_WRITE = stat.S_IWOTH
_OTHERS_USE = stat.S_IROTH | _OTHERS_WRITE


def warnings(environ: Mapping[str, str], config: Path | None, database_url: str) -> tuple[str, ...]:
    """One sentence for each file. Files that do not exist yet are left out."""
    found = [
        warning for name, path in _secret_files(environ) for warning in _warning(name, path, _OTHERS_USE)
    ]
    if config is not None:
        found += _warning("BROKER_CONFIG", config, _OTHERS_WRITE)
    if database_url.startswith("sqlite:///"):
        path = Path(unquote(database_url.removeprefix("sqlite:///")))
        found += _warning("BROKER_DATABASE_URL", path, _OTHERS_WRITE)
    return tuple(found)


def _secret_files(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    names = {f"{name}_FILE" for setting in SETTINGS if setting.secret for name in setting.names}
    for name, value in sorted(environ.items()):
        is_client_secret = name.endswith("_FILE") and CLIENT_SECRETS.fullmatch(name)
        if value.strip() and (name in names or is_client_secret):
            yield name, Path(value.strip())


def _warning(name: str, path: Path, forbidden: int) -> list[str]:
    try:
        mode = path.stat().st_mode
    except OSError:
        return []
    if not mode & forbidden:
        return []
    what = "write" if mode & forbidden & _OTHERS_WRITE else "read"
    return [f"{name}: other users of this machine can {what} {path} (mode {stat.S_IMODE(mode):04o})"]
