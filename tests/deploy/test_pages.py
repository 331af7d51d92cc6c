"""docs/deploy/: settings, commands and files of the pages are real. What needs no platform runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from broker.settings import load
from tests.deploy.files import MANIFESTS, ROOT, compose, known_names, procfile
from tests.docs.dev_broker import clean_environment
from tests.docs.markdown import code_blocks, code_blocks_of

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/deploy").glob("*.md"))
WEB, RELEASE = procfile("web"), procfile("release")
# Of compose.yaml and of the Caddyfile; not of the broker.
OTHER_NAMES = {"BROKER_HOST", "BROKER_UPSTREAM"}


def unindented(path: str) -> str:
    """Blocks inside of numbered steps are indented."""
    return re.sub(r"^ {3}", "", (ROOT / path).read_text(), flags=re.MULTILINE)


def written(path: str, file: str, folder: Path) -> dict[str, str]:
    """Runs the block that writes `file`, below `folder`, and returns its variables."""
    (block,) = [block for block in code_blocks_of(unindented(path), "sh") if f"> {file} <<END" in block]
    script = block.replace("/etc/", f"{folder}/etc/")
    ran = subprocess.run(["bash", "-euc", script], cwd=folder, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    made = folder / file.lstrip("/")
    assert made.stat().st_mode & 0o077 == 0, "only its owner can read it"
    text = made.read_text().replace("your-key", "a-key-for-tests")  # the broker rejects a placeholder
    return dict(line.split("=", 1) for line in text.splitlines())


def test_every_page_is_listed_in_operations() -> None:
    listed = re.findall(r"\(deploy/([a-z-]+\.md)\)", (ROOT / "docs/operations.md").read_text())
    assert sorted(set(listed)) == [Path(page).name for page in PAGES]


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_is_a_setting(page: str) -> None:
    names = set(
        re.findall(
            r"\bBROKER_[A-Z_]+|\bGEMINI_[A-Z_]+|\bWEB_CONCURRENCY|\bDATABASE_URL", (ROOT / page).read_text()
        )
    )
    assert names - known_names() - OTHER_NAMES == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_this_repository_exists(page: str) -> None:
    names = re.findall(r"(?<![\w/.])((?:deploy|docs|requirements)/[\w./-]*\w)", (ROOT / page).read_text())
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_kubernetes_page_lists_every_manifest() -> None:
    text = (ROOT / "docs/deploy/kubernetes.md").read_text()
    listed = {
        name
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for name in re.findall(r"`([\w.-]+\.yaml)`", row)
    }
    assert listed == {path.name for path in MANIFESTS.glob("*.yaml")} - {"kustomization.yaml"}


def test_settings_of_the_compose_file_are_valid_with_the_pages_env_file(tmp_path: Path) -> None:
    variables = written("docs/deploy/docker.md", ".env", tmp_path)
    environ = {
        name: re.sub(r"\$\{(\w+):[-?][^}]*\}", lambda match: variables[match[1]], value)
        for name, value in compose()["services"]["broker"]["environment"].items()
    }
    settings = load(environ)
    assert settings.database_url.get_secret_value().endswith(
        f":{variables['POSTGRES_PASSWORD']}@postgres:5432/broker"
    )
    assert [warning for warning in settings.warnings if "GEMINI" not in warning] == []


def test_settings_of_the_systemd_page_are_valid(tmp_path: Path) -> None:
    load(written("docs/deploy/systemd.md", "/etc/live-broker/environment", tmp_path))


@pytest.mark.long
def test_installation_of_the_systemd_page(packages: Path, tmp_path: Path) -> None:
    """Word for word, in a folder in place of the root. Needs the network."""
    (block,) = [
        block
        for block in code_blocks_of(unindented("docs/deploy/systemd.md"), "sh")
        if "pip install" in block
    ]
    first, *rest = block.splitlines()
    assert first.startswith("apt-get install")
    for path in [*packages.glob("*.whl"), ROOT / "requirements/production.txt"]:
        shutil.copy(path, tmp_path)
    script = "\n".join(rest).replace("/opt/", f"{tmp_path}/opt/")
    environ = clean_environment() | {"HOME": str(tmp_path)}
    (tmp_path / "opt").mkdir()
    ran = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    for program in ("broker", "gunicorn"):
        command = [str(tmp_path / "opt/live-broker/bin" / program), "--version"]
        assert subprocess.run(command, env=environ, capture_output=True, timeout=60).returncode == 0


def test_platforms_start_what_the_procfile_starts() -> None:
    heroku, render = (yaml.safe_load(block) for block in code_blocks("docs/deploy/platforms.md", "yaml"))
    (fly,) = (tomllib.loads(block) for block in code_blocks("docs/deploy/platforms.md", "toml"))
    assert heroku["build"]["docker"]["web"] == fly["build"]["dockerfile"] == "Dockerfile"
    assert shlex.split(heroku["run"]["web"]) == WEB
    (service,) = render["services"]
    released = [
        heroku["release"]["command"][0],
        service["preDeployCommand"],
        fly["deploy"]["release_command"],
    ]
    assert [command.split() for command in released] == [RELEASE] * 3
    (check,) = fly["http_service"]["checks"]
    assert service["healthCheckPath"] == check["path"] == "/readyz"
    assert fly["http_service"]["internal_port"] == int(fly["env"]["PORT"])
