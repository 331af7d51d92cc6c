"""The environment of a broker under test, and variants of the shipped broker.toml."""

from __future__ import annotations

import secrets
from pathlib import Path

DEFAULT_PLAN = """
[plans.default]
rate = "{rate}"
sessions = 1000
minutes_per_day = 10000
session_minutes = 30
"""
SHIPPED = Path(__file__).parents[2] / "broker" / "settings" / "broker.toml"


def write_config(
    folder: Path,
    *,
    rate: str = "1000/minute",
    more: str = "",
    project_sessions: int = 1000,
    project: str = "",
    warm: int = 0,
    profile: str = "",
) -> Path:
    """Writes the shipped profiles, a default plan with `rate`, and the lines of `more`.

    `project` is one more line of [project], and `profile` of the profile `default`, as `warm` is.
    """
    text = SHIPPED.read_text().replace("sessions = 50\n", f"sessions = {project_sessions}\n{project}\n", 1)
    text = text.replace("[profiles.default]\n", f"[profiles.default]\nwarm = {warm}\n{profile}\n", 1)
    start = text.index("[plans.default]")
    end = text.index("\n[", start + 1)
    path = folder / f"broker-{secrets.token_hex(4)}.toml"
    path.write_text(text[:start] + DEFAULT_PLAN.format(rate=rate) + more + text[end:])
    return path


def environment(folder: Path, live_url: str, *, config: Path | None = None, **more: str) -> dict[str, str]:
    """Returns new secrets, a new SQLite file in `folder`, and `live_url` as upstream, for `settings.load`."""
    return {
        "GEMINI_API_KEY": "test-key-" + secrets.token_hex(16),
        "BROKER_SECRET_KEY": secrets.token_urlsafe(48),
        "BROKER_DATABASE_URL": f"sqlite:///{folder}/broker-{secrets.token_hex(4)}.sqlite3",
        "BROKER_LIVE_URL": live_url,
        "BROKER_CONFIG": str(config or write_config(folder)),
        "BROKER_LOG_LEVEL": "info",
        "BROKER_TRUSTED_HOSTS": "127.0.0.1 localhost voice.example",
        **more,
    }
