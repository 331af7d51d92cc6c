"""The README's samples, taken from the README and run as they stand against `broker dev`.

What `make run` starts is started here: the stand-in, the demo user, gunicorn; in a folder of its own and on a
free port, which is put in place of 8080.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.browser.support import speak
from tests.contract.apart import run
from tests.contract.served_page import served_page
from tests.docs.markdown import ROOT, code_blocks, shape
from tests.support.servers import free_port

PAGE = """<!doctype html>
<html lang="en"><title>README</title>
<button id="talk">Talk</button><p id="captions"></p>
<script type="module" src="/readme/sample.js"></script></html>
"""
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running `broker dev`."""
    folder = tmp_path_factory.mktemp("dev")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    command = [str(Path(sys.executable).with_name("broker")), "dev", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not answers(url):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def test_the_curl_sample_answers_as_the_readme_shows(dev: str) -> None:
    (sample,) = [block for block in code_blocks("README.md", "sh") if "/token" in block]
    (shown,) = code_blocks("README.md", "json")
    script = f"set -euo pipefail\n{sample.replace('http://127.0.0.1:8080', dev)}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert shape(answer) == shape(json.loads(shown))
    assert answer["token"].startswith("auth_tokens/")
    assert answer["token"] not in answer["url"]


def test_the_javascript_sample_talks(dev: str, tmp_path: Path) -> None:
    """It signs in, and after a click on Talk a spoken sentence is heard and answered."""
    (sample,) = code_blocks("README.md", "js")
    microphone = speak(tmp_path, "Hello, can you hear me? I am reading from the manual.", before=2.0)
    flags = ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    files = {"/readme/": PAGE, "/readme/sample.js": sample}

    async def talk() -> dict[str, str]:
        async with served_page(dev, files, flags) as page:
            # The sample signs in before it listens for the click.
            await page.wait_for_load_state("networkidle")
            await page.click("#talk")
            await page.wait_for_selector("#captions[data-user][data-model]", timeout=60_000, state="attached")
            said: dict[str, str] = await page.evaluate("({ ...document.querySelector('#captions').dataset })")
            return said

    said = run(talk())
    assert "spoke" in said["user"], "the stand-in tells how long one spoke"
    assert said["model"]


def test_what_production_installs_runs_without_the_stand_in(tmp_path: Path) -> None:
    (commands,) = [block for block in code_blocks("README.md", "sh") if "production.txt" in block]
    for part in ("broker", "web", "requirements"):
        shutil.copytree(ROOT / part, tmp_path / part)
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, tmp_path)
    script = (
        f"set -e\n{sys.executable} -m venv .venv\nPATH=$PWD/.venv/bin:$PATH\n{commands}broker --version\n"
    )
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("broker, version ")
    environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    for command in ("standin", "dev"):
        broker = [str(tmp_path / ".venv/bin/broker"), command]
        refused = subprocess.run(
            broker, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
        )
        assert refused.returncode == 1
        assert refused.stderr.startswith("The stand-in is not part of this installation.")


def test_the_javascript_sample_is_short() -> None:
    (sample,) = code_blocks("README.md", "js")
    assert len([line for line in sample.splitlines() if line.strip()]) <= 18


def test_the_commands_of_the_readme_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in ("make run", "make test"):
        assert any(command in block for block in code_blocks("README.md", "sh"))
        assert f"\n{command.split()[1]}:" in makefile
