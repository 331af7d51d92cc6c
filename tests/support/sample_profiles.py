"""Every profile that this repository shows: the shipped ones, those in documents, and those in tests.

New ones are found by themselves. A sample that the broker would refuse at start is left out.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from broker.minting.compile import CompiledProfile, ProfileError, compile_profile
from broker.profiles.profile import Profile

ROOT = Path(__file__).parents[2]
SHIPPED = "broker/settings/broker.toml"
_BEGINS = "[profiles."
# What the shipped file shows in comments.
_COMMENTED = re.compile(r"^# (lock_also = .*|lock = .*)$", re.MULTILINE)


def sample_profiles() -> dict[str, Profile]:
    """Maps where a profile was found to the profile. Of two that compile to the same, one is enough."""
    found: dict[str, Profile] = {}
    known: list[CompiledProfile] = []
    for place, text in _texts():
        for name, written in _profiles_of(text).items():
            try:
                profile = Profile.model_validate({**written, "name": name})
                compiled = compile_profile(profile)
            except (ValidationError, ProfileError, TypeError):
                continue
            if compiled not in known:
                known.append(compiled)
                found[f"{place}: {name}"] = profile
    return found


def toml_of(value: Any) -> str:
    """A JSON value as an inline TOML value."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _texts() -> Iterator[tuple[str, str]]:
    """TOML texts with profiles, and where each was found. A text may turn out not to be TOML."""
    shipped = (ROOT / SHIPPED).read_text()
    yield SHIPPED, shipped
    yield (
        f"{SHIPPED}, lock_also",
        _COMMENTED.sub(lambda line: line[1] if line[1].startswith("lock_also") else line[0], shipped),
    )
    yield f"{SHIPPED}, total", shipped.replace('# lock = "mask"', 'lock = "total"')
    for folder in ("", "docs", "docs/decisions", "web/live"):
        for page in sorted((ROOT / folder).glob("*.md")):
            for block in re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
                yield str(page.relative_to(ROOT)), block
    for module in sorted((ROOT / "tests").rglob("*.py")):
        text = module.read_text()
        if _BEGINS in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and _BEGINS in node.value:
                    yield str(module.relative_to(ROOT)), node.value


def _profiles_of(text: str) -> Mapping[str, Mapping[str, Any]]:
    try:
        profiles = tomllib.loads(text).get("profiles", {})
    except tomllib.TOMLDecodeError:
        return {}
    return {name: written for name, written in profiles.items() if isinstance(written, dict)}
