"""The wheel, installed into an empty environment: pages, their bundle, migrations, and `broker dev`."""

from __future__ import annotations

import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import httpx2
import pytest

from broker.cli.dev import DEMO_PASSWORD, DEMO_USER
from tests.deploy.files import ROOT
from tests.docs.dev_broker import clean_environment

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_it_has_every_file_that_runs_and_no_test(packages: Path) -> None:
    (wheel,) = packages.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder, inside in (("broker", "broker"), ("web", "broker/_web")):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" in names
    assert "broker/_web/bundle/manifest.json" in names
    assert [
        name for name in names if not name.startswith(("broker/", f"live_broker-{VERSION}.dist-info/"))
    ] == []
    assert [name for name in names if "/types/" in name or "node_modules" in name] == []


@pytest.mark.long
def test_the_command_runs_from_the_wheel_and_not_from_the_checkout(wheel_venv: Path, tmp_path: Path) -> None:
    python = str(wheel_venv / "bin/python")
    where = [python, "-c", "import broker; print(broker.__file__)"]
    for command, begins in (
        (where, str(wheel_venv)),
        ([str(wheel_venv / "bin/broker"), "--version"], f"broker, version {VERSION}"),
    ):
        ran = subprocess.run(
            command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60
        )
        assert ran.stdout.startswith(begins), ran.stderr


@pytest.mark.long
def test_broker_dev_serves_the_bundle_and_a_whole_session(wheel_broker: str) -> None:
    with httpx2.Client(base_url=wheel_broker, trust_env=False, timeout=30) as client:
        page = client.get("/").text
        (script,) = re.findall(r'<script type="module" src="([^"]+)"', page)
        assert "/bundle/demo/main.js" in script
        assert client.get(script).status_code == 200
        account = {"username": DEMO_USER, "password": DEMO_PASSWORD}
        signed_in = client.post("/auth/login", json=account).json()
        client.cookies.clear()
        headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        session = client.post("/token", json={}, headers=headers).json()["session"]["id"]
        for verb in ("heartbeat", "end"):
            assert client.post(f"/sessions/{session}/{verb}", json={}, headers=headers).status_code == 200


@pytest.mark.long
def test_make_package_works_after_make_run_alone(tmp_path: Path) -> None:
    """In a fresh copy whose environment has only what `make run` installs. Needs the network."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
            (tmp_path / name).chmod((ROOT / name).stat().st_mode)
    for command in (["scripts/setup", "run"], ["make", "package"]):
        ran = subprocess.run(
            command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=600
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    made = sorted(path.name for path in (tmp_path / "dist").iterdir())
    assert made == [f"live-broker-client-{VERSION}.tgz", f"live_broker-{VERSION}-py3-none-any.whl"]
