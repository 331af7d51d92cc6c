"""An app that bundles the npm package talks in Chromium: worker, worklets and recorder are found.

The broker's own content security policy applies to the built app, Trusted Types included.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.async_api import Page

from tests.contract.apart import run
from tests.contract.served_page import browser_page
from tests.deploy.files import ROOT
from tests.support.http_server import Answer, HttpServer, Request
from tests.support.ports import free_port
from tests.support.process import Process, responds

FLAGS = ["--use-fake-ui-for-media-stream"]
MODULES = ROOT / "node_modules"
PROGRAMS = {
    "network-worker": "network/network-worker",
    "recorder-worker": "media/recorder-worker",
    "worklets/capture-processor": "audio/worklets/capture-processor",
    "worklets/playback-processor": "audio/worklets/playback-processor",
}


class BesideBroker(HttpServer):
    """Serves the app as `/app/`, and everything else from the broker, like a proxy in front of both."""

    def __init__(self, app: Path, broker: str, policy: str) -> None:
        super().__init__()
        self._app, self._broker, self._policy = app, broker, policy

    def answer_to(self, request: Request) -> Answer:
        file = self._app / request.path.removeprefix("/app/")
        if file.is_file():
            kind = "text/html" if file.suffix == ".html" else "text/javascript"
            return 200, {"Content-Type": kind, "Content-Security-Policy": self._policy}, file.read_bytes()
        answer = httpx2.request(
            request.method, self._broker + request.path, headers=request.headers, content=request.body,
            trust_env=False, timeout=30,
        )  # fmt: skip
        return answer.status_code, {"Content-Type": answer.headers.get("Content-Type", "")}, answer.content


def vite(app: Path, out: Path) -> None:
    _node(app, MODULES / "vite/bin/vite.js", "build", "--base", "/app/", "--outDir", str(out))


def webpack(app: Path, out: Path) -> None:
    script = f"""
        import webpack from {json.dumps(str(MODULES / "webpack/lib/index.js"))};
        const options = {{ mode: 'production', entry: './main.js', experiments: {{ outputModule: true }},
          output: {{ path: {json.dumps(str(out))}, filename: 'main.js', module: true,
          publicPath: '/app/' }} }};
        webpack(options, (fault, stats) => {{
          if (fault || stats.hasErrors()) {{ console.error(fault ?? stats.toString()); process.exit(1); }}
        }});
    """
    _node(app, "--input-type=module", "--eval", script)
    (out / "index.html").write_text((app / "index.html").read_text())


def esbuild(app: Path, out: Path) -> None:
    """esbuild does not follow `new URL(…)`, so the four programs are entry points of their own."""
    programs = [f"{name}=@live-broker/client/{path}.js" for name, path in PROGRAMS.items()]
    options = ["--bundle", "--minify", "--format=esm", "--splitting", "--chunk-names=[name]-[hash]"]
    options += ["--target=es2023", f"--outdir={out}"]
    command = [str(MODULES / ".bin/esbuild"), "main=./main.js", *programs, *options]
    ran = subprocess.run(command, cwd=app, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    (out / "index.html").write_text((app / "index.html").read_text())


def _node(app: Path, *words: str | Path) -> None:
    ran = subprocess.run(["node", *words], cwd=app, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


async def _talk(page: Page) -> dict[str, Any]:
    await page.get_by_text("ready").wait_for(timeout=60_000)
    await page.click("#talk")
    await page.locator("#said[data-done]").wait_for(timeout=60_000)
    said: dict[str, Any] = json.loads(await page.text_content("#said") or "")
    return said


def check(said: dict[str, Any]) -> None:
    assert said.get("text"), said
    assert said["network"] == "worker"
    assert said["recorded"] > 44, "a WAV file with sound"


@pytest.mark.parametrize(
    "bundle", [vite, *(pytest.param(one, marks=pytest.mark.long) for one in (webpack, esbuild))]
)
def test_a_built_app_talks_under_the_brokers_policy(
    npm_app: Path, wheel_broker: str, tmp_path: Path, bundle: Callable[[Path, Path], None]
) -> None:
    bundle(npm_app, tmp_path / "out")
    policy = httpx2.get(wheel_broker, trust_env=False).headers["Content-Security-Policy"]
    with BesideBroker(tmp_path / "out", wheel_broker, policy) as server:

        async def talk() -> dict[str, Any]:
            async with browser_page(FLAGS) as page:
                await page.goto(f"{server.url}/app/index.html")
                return await _talk(page)

        check(run(talk()))


@pytest.fixture
def vite_server(npm_app: Path, wheel_broker: str, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    routes = {
        path: {"target": wheel_broker, "changeOrigin": False} for path in ("/auth", "/token", "/sessions")
    }
    config = {"server": {"host": "127.0.0.1", "port": port, "strictPort": True, "proxy": routes}}
    (npm_app / "vite.config.js").write_text(f"export default {json.dumps(config)};\n")
    process = Process(
        ["node", str(MODULES / "vite/bin/vite.js")],
        log_path=tmp_path / "log",
        answers=lambda: responds(f"http://127.0.0.1:{port}/"),
        cwd=npm_app,
    )
    yield f"http://127.0.0.1:{port}"
    process.end()
    (npm_app / "vite.config.js").unlink()


@pytest.mark.long
def test_an_app_on_vites_development_server_talks(vite_server: str) -> None:
    async def talk() -> dict[str, Any]:
        async with browser_page(FLAGS) as page:
            await page.goto(vite_server)
            return await _talk(page)

    check(run(talk()))
