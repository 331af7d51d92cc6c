"""ProviderProcess: a real OpenID provider, the npm package oidc-provider, started by oidc_provider.mjs."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.process import Process

SCRIPT = Path(__file__).parents[1] / "browser" / "oidc_provider.mjs"
PASSWORD = "let-me-in"
# RFC 8252: a loopback redirect address matches any port.
CALLBACK = "http://127.0.0.1/auth/oidc/{name}/callback"


class ProviderProcess:
    """Use as a context manager. `clients` maps the name of our issuer to the client's registration."""

    def __init__(self, clients: dict[str, dict[str, Any]]) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self._clients = [
            {
                "client_id": f"client-of-{name}",
                "application_type": "native",
                "redirect_uris": [CALLBACK.format(name=name)],
                **more,
            }
            for name, more in clients.items()
        ]
        self._folder = Path(tempfile.mkdtemp(prefix="broker-oidc-"))
        self._process: Process | None = None

    def __enter__(self) -> Self:
        command = ["node", str(SCRIPT), str(self.port), json.dumps(self._clients)]
        log_path = self._folder / "log"
        self._process = Process(
            command, log_path=log_path, answers=lambda: "provider ready: " in log_path.read_text()
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def entry(name: str, issuer: str, **more: Any) -> str:
    """Returns an `[[issuers]]` entry of broker.toml for a provider on this machine."""
    values = {
        "name": name,
        "issuer": issuer,
        "audience": "an-api",
        "discover": True,
        "client_id": f"client-of-{name}",
        **more,
    }
    # JSON strings, numbers, lists and booleans are valid TOML.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
    return "\n".join(["", "[[issuers]]", *lines, ""])
