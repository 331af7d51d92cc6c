"""The deployment files as data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from broker.settings.table import SETTINGS

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy/kubernetes"


def known_names() -> set[str]:
    """Every variable that the broker reads, with its other names."""
    names = {setting.name for setting in SETTINGS} | {one.alias for one in SETTINGS if one.alias}
    return names | {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}


def procfile(process: str) -> list[str]:
    (line,) = re.findall(rf"^{process}: (.+)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    return shlex.split(line)


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def manifest(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())
    return loaded


def dockerfile(stage: str) -> list[tuple[str, str]]:
    """The instructions of one stage, as pairs of name and text."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    start = next(
        n for n, line in enumerate(lines) if line.startswith("FROM ") and line.endswith(f" AS {stage}")
    )
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("FROM ")), len(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines[start + 1 : end]]


def instructions(stage: str, name: str) -> list[str]:
    return [text for found, text in dockerfile(stage) if found == name]


def unit() -> dict[str, list[str]]:
    """The settings of the systemd unit's [Service] section."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "deploy/systemd/live-broker.service").read_text().split("[Service]")[1].splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found
