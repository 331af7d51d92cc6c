"""A real OpenID provider in a process of its own: the npm package oidc-provider behind oidc_provider.mjs."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.servers import free_port

SCRIPT = Path(__file__).parents[1] / "browser" / "oidc_provider.mjs"
PASSWORD = "let-me-in"
# RFC 8252: with a loopback address in it, any port fits.
CALLBACK = "http://127.0.0.1/auth/oidc/{name}/callback"


class ProviderProcess:
    """Use as a context manager. `clients` maps our issuer's name to what the provider knows of us."""

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
        self._process: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    def __enter__(self) -> Self:
        command = ["node", str(SCRIPT), str(self.port), json.dumps(self._clients)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        ready = threading.Event()
        threading.Thread(target=self._listen, args=[self._process, ready], daemon=True).start()
        if not ready.wait(60):
            self.close()
            raise RuntimeError("the provider did not start:\n" + "".join(self.said))
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.said.append(line)
                if line.startswith("provider ready: "):
                    ready.set()


def entry(name: str, issuer: str, **more: Any) -> str:
    """An `[[issuers]]` entry of broker.toml for a provider on this machine."""
    values = {
        "name": name,
        "issuer": issuer,
        "audience": "an-api",
        "discover": True,
        "client_id": f"client-of-{name}",
        **more,
    }
    # JSON's texts, numbers, lists and truth values are TOML's too.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
    return "\n".join(["", "[[issuers]]", *lines, ""])
