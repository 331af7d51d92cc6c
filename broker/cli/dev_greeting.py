"""What `broker dev` says at its start: addresses, sign-ins, who answers, and whether the key works."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from broker.errors import Refusal
from broker.net.addresses import is_loopback

_DEMO_MODE = (
    "Demo mode: a local stand-in repeats what you say. Set GEMINI_API_KEY to talk to Gemini.\n"
    "Type /help in the conversation for its commands. docs/stand-in.md says what it does not imitate."
)
_TRIAL_SECONDS = 20.0
"""Longer than the deadlines of a look-up and a mint together."""


def greeting(port: int, environ: Mapping[str, str], accounts: Mapping[str, str], *, has_key: bool) -> str:
    """`accounts`: user -> password, the demo user first and then the operator."""
    demo, operator = (f"{name} / {password}" for name, password in accounts.items())
    page = f"http://127.0.0.1:{port}"
    origins = environ.get("BROKER_ALLOWED_ORIGINS", "").strip() or "none"
    lines = [
        f"Live Broker   {page}",
        f"Sign in as    {demo}",
        f"Operators     {page}/ops",
        f"Sign in as    {operator}",
        f"Every route   {page}/docs",
        "Commands      broker --dev users list",
        f"Your origins  {origins} (BROKER_ALLOWED_ORIGINS: pages elsewhere that may call the broker)",
        f"Talking to    {upstream(environ, has_key=has_key)}",
        "Stop with     Ctrl-C",
    ]
    if not has_key:
        lines += ["", _DEMO_MODE]
    return "\n".join(lines)


def upstream(environ: Mapping[str, str], *, has_key: bool) -> str:
    """Who mints the tokens, and the setting that decided it."""
    live_url = environ.get("BROKER_LIVE_URL", "").strip().rstrip("/")
    if not has_key:
        return f"the stand-in at {live_url} (GEMINI_API_KEY is not set)"
    if not live_url:
        return "Google"
    from broker.minting.upstream import StandInProbe

    if StandInProbe(live_url, is_loopback=is_loopback(urlsplit(live_url).hostname))():
        return f"the stand-in at {live_url} (BROKER_LIVE_URL)"
    return f"{live_url} (BROKER_LIVE_URL)"


class Trial:
    """Mints one token beside the start of the server, so that a key which does not work is seen at once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._result: str | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> str | None:
        """One line. None if the settings are invalid, which the server reports."""
        self._thread.join(_TRIAL_SECONDS)
        return self._result

    def _run(self) -> None:
        # Large libraries, which a start without a key does not need.
        from broker.app import load_settings
        from broker.cli import trial
        from broker.settings import SettingsError
        from broker.settings.table import GOOGLE_URL

        try:
            settings = load_settings(self._environ)
        except SettingsError:
            return
        name = "default" if "default" in settings.config.profiles else next(iter(settings.config.profiles))
        whose = "Google" if settings.live_url == GOOGLE_URL else settings.live_url
        try:
            with trial.minter_of(settings) as minter:
                model = trial.mint(settings, minter, name)
            self._result = f"{whose}: the key works, tokens are for {model}."
        except Refusal as refusal:
            self._result = f"{whose}: {trial.in_plain_words(refusal)}"
