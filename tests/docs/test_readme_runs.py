"""The README's samples run exactly as they are printed, against `broker dev`.

Only the port differs: a free one replaces 8080.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from broker.cli.dev import DEMO_PASSWORD, DEMO_USER
from tests.browser.support import speak, wait_for
from tests.contract.apart import run
from tests.contract.served_page import served_page
from tests.docs.dev_broker import clean_environment, dev_broker
from tests.docs.markdown import ROOT, code_blocks, shape
from tests.docs.screenshots import LARGEST

PAGE = """<!doctype html>
<html lang="en"><title>README</title>
<button id="talk">Talk</button><button id="end">End</button><p id="captions"></p>
<script type="module" src="/readme/sample.js"></script></html>
"""
# Keeps the newest caption of each voice, as data-user and data-model.
KEEP_CAPTIONS = """() => {
    const captions = document.querySelector('#captions');
    const keep = () => {
        const [role, text] = captions.textContent.split(': ');
        captions.dataset[role] = text;
    };
    new MutationObserver(keep).observe(captions, { childList: true });
}"""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dev_broker(tmp_path_factory.mktemp("dev")) as url:
        yield url


def open_sessions(dev: str) -> list[str]:
    """The ids of the demo user's open sessions."""
    with httpx2.Client(base_url=dev, trust_env=False, timeout=30) as client:
        sign_in = client.post("/auth/login", json={"username": DEMO_USER, "password": DEMO_PASSWORD}).json()
        client.cookies.clear()
        headers = {"Authorization": f"Bearer {sign_in['access_token']}"}
        return [session["id"] for session in client.get("/me", headers=headers).json()["sessions"]]


def test_curl_samples_open_a_session_as_shown_and_end_it(dev: str, tmp_path: Path) -> None:
    """Both samples run in one shell, as a reader runs them; the id of the answer replaces `ses_…`."""
    ask, end = [block for block in code_blocks("README.md", "sh") if "curl" in block]
    (shown,) = code_blocks("README.md", "json")
    read_id = "import json; print(json.load(open('answer.json'))['session']['id'])"
    end = end.replace("ses_…", f'$({sys.executable} -c "{read_id}")')
    script = f"set -euo pipefail\n{{\n{ask}}} >answer.json\n{{\n{end}}} >ended.json\n"
    ran = subprocess.run(
        ["bash", "-c", script.replace("http://127.0.0.1:8080", dev)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    answer = json.loads((tmp_path / "answer.json").read_text())
    ended = json.loads((tmp_path / "ended.json").read_text())
    assert shape(answer) == shape(json.loads(shown))
    assert answer["token"].startswith("auth_tokens/")
    assert answer["token"] not in answer["url"]
    assert (ended["id"], ended["state"]) == (answer["session"]["id"], "ended")
    assert open_sessions(dev) == []


def test_javascript_sample_talks_and_ends_its_session(dev: str, tmp_path: Path) -> None:
    """After a click on Talk it shows captions of both voices; a click on End leaves no session open."""
    (sample,) = code_blocks("README.md", "js")
    microphone = speak(tmp_path, "Hello, can you hear me? I am reading from the manual.", before=2.0)
    flags = ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    files = {"/readme/": PAGE, "/readme/sample.js": sample}

    async def talk() -> dict[str, str]:
        async with served_page(dev, files, flags) as page:
            # The sample signs in before it listens for the clicks.
            await page.wait_for_load_state("networkidle")
            await page.evaluate(KEEP_CAPTIONS)
            await page.click("#talk")
            await page.wait_for_selector("#captions[data-user][data-model]", timeout=60_000)
            assert len(open_sessions(dev)) == 1
            await page.click("#end")
            wait_for("the end of the session", lambda: open_sessions(dev) == [])
            said: dict[str, str] = await page.evaluate("({ ...document.querySelector('#captions').dataset })")
            return said

    said = run(talk())
    assert "spoke" in said["user"], "the stand-in reports how long the user spoke"
    assert said["model"]


def test_newcomer_continues_as_demo_with_one_click(dev: str) -> None:
    async def enter() -> str | None:
        async with served_page(dev, {"/readme/": PAGE, "/readme/sample.js": ""}) as page:
            await page.goto(dev)
            await page.get_by_role("button", name="Continue as demo").click()
            await page.wait_for_selector("#status[data-state=idle]")
            return await page.text_content("#allowance")

    assert re.fullmatch(r"\d+ of \d+ minutes left today · default plan", run(enter()) or "")


@pytest.mark.long
def test_production_install_runs_without_the_stand_in(tmp_path: Path) -> None:
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
    for command in ("standin", "dev"):
        broker = [str(tmp_path / ".venv/bin/broker"), command]
        refused = subprocess.run(
            broker, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60
        )
        assert refused.returncode == 1
        assert refused.stderr.startswith("The stand-in is not part of this installation.")


def test_javascript_sample_is_short() -> None:
    (sample,) = code_blocks("README.md", "js")
    assert len([line for line in sample.splitlines() if line.strip()]) <= 26


def test_commands_of_the_readme_are_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in ("make run", "make test"):
        assert any(command in block for block in code_blocks("README.md", "sh"))
        assert f"\n{command.split()[1]}:" in makefile


def test_picture_of_the_readme_is_small() -> None:
    (name,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    picture = (ROOT / name).read_bytes()
    assert picture[:4] == b"RIFF"
    assert len(picture) <= LARGEST
