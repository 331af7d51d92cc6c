"""What `make package` builds, installed into empty folders without the network."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deploy.files import ROOT
from tests.docs.dev_broker import clean_environment
from tests.support.ports import free_port
from tests.support.process import Process, responds


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the npm package, built by the commands of `make package`."""
    folder = tmp_path_factory.mktemp("dist")
    hatchling = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    _run(hatchling, ROOT)
    _run(["node", "scripts/package.mjs", str(folder)], ROOT)
    return folder


@pytest.fixture(scope="session")
def wheel_venv(packages: Path) -> Iterator[Path]:
    """A virtual environment with the wheel, which every user can read, unlike pytest's own folders.

    The locked packages are those of the tests' environment.
    """
    with TemporaryDirectory(prefix="live-broker-") as folder:
        Path(folder).chmod(0o755)
        yield _with_wheel(Path(folder) / "venv", packages)


def _with_wheel(venv: Path, packages: Path) -> Path:
    _run([sys.executable, "-m", "venv", "--without-pip", str(venv)], venv.parent)
    (wheel,) = packages.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python"), "install", "--quiet"]
    _run([*pip, "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel)], venv.parent)
    # Python does not read the `.pth` files of a folder that is named here, so the checkout stays out.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    gunicorn = venv / "bin/gunicorn"  # as pip would write it
    gunicorn.write_text(f"#!{venv}/bin/python\nfrom gunicorn.app.wsgiapp import run\n\nrun()\n")
    gunicorn.chmod(0o755)
    return venv


@pytest.fixture(scope="session")
def wheel_broker(wheel_venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `broker dev` from the wheel, in an empty folder."""
    folder = tmp_path_factory.mktemp("empty")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = Process(
        [str(wheel_venv / "bin/broker"), "dev", "--port", str(port)],
        log_path=folder / "log",
        answers=lambda: responds(f"{url}/readyz"),
        cwd=folder,
        env=clean_environment(),
    )
    yield url
    process.end()


@pytest.fixture(scope="session")
def npm_app(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app of two files that has installed the npm package and nothing else."""
    folder = tmp_path_factory.mktemp("app")
    for path in (Path(__file__).parent / "bundled_app").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (archive,) = packages.glob("*.tgz")
    _run(["npm", "install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", str(archive)], folder)
    return folder


def _run(command: list[str], folder: Path) -> None:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
