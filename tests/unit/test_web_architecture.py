"""The structure of web/: who may import whom, no circles, short files, few entries at the top of the library.

Every check is a function of a folder and returns sentences; each sentence names the way out. An import in a
JSDoc type and the address of a worker count like any other import.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
MAX_LINES = 330
MAX_ENTRIES = 10
PAGES = ("demo", "ops", "docs")
# Every relative path of a script: static and dynamic imports, `import('…')` in a type, the URL of a worker.
_PATH = re.compile(r"""["'](\.{1,2}/[^"'\s]+\.js)["']""")
_FOLDERS = ("conversation", "audio", "network", "media")
# The library's layers, from the top down. A file may import from its own folder and from lower layers.
_LAYERS = {
    "index.js": 0,
    "live-session.js": 1,
    "session-run.js": 2,
    **dict.fromkeys(_FOLDERS, 3),
    "shared": 4,
}


def modules(web: Path) -> dict[str, list[str]]:
    """Each script below `web` with the paths that it refers to, all relative to `web`."""
    return {
        (name := path.relative_to(web).as_posix()): [
            posixpath.normpath(posixpath.join(posixpath.dirname(name), reference))
            for reference in dict.fromkeys(_PATH.findall(path.read_text()))
        ]
        for path in sorted(web.rglob("*.js"))
        if path.relative_to(web).parts[0] != "bundle"  # made from the others
    }


def references(web: Path) -> Iterator[tuple[str, str]]:
    for name, targets in modules(web).items():
        yield from ((name, target) for target in targets)


def missing(web: Path) -> list[str]:
    known = modules(web)
    return [
        f"web/{name} refers to web/{target}, which does not exist: correct the path."
        for name, target in references(web)
        if target not in known
    ]


def crossings_in_library(web: Path) -> list[str]:
    """Imports between the library's files that go up or sideways."""
    found = []
    for name, target in references(web):
        if not name.startswith("live/"):
            continue
        if not target.startswith("live/"):
            found.append(
                f"web/{name} imports web/{target}: the library imports only itself; pass the value in."
            )
            continue
        here, there = name.split("/")[1], target.split("/")[1]
        if here not in _LAYERS or here == there:
            continue
        if there not in _LAYERS or _LAYERS[here] > _LAYERS[there]:
            found.append(
                f"web/{name} imports web/{target}: {here} is below {there} and may not know it; "
                "pass the value in as an argument, or move what both need to shared/."
            )
        elif _LAYERS[here] == _LAYERS[there]:
            found.append(
                f"web/{name} imports web/{target}: {here} and {there} may not know each other; "
                "let session-run.js join them, or move what both need to shared/."
            )
    return found


def strays_in_library(web: Path) -> list[str]:
    """Files and folders of the library that belong to no layer."""
    strays = {name.split("/")[1] for name in modules(web) if name.startswith("live/")} - _LAYERS.keys()
    return [
        f"web/live/{stray} belongs to no layer: move it into {', '.join(_FOLDERS)} or shared."
        for stray in sorted(strays)
    ]


def crossings_of_pages(web: Path) -> list[str]:
    """A page imports its own files, web/common and the library's public entry."""
    found = []
    for name, target in references(web):
        here, there = name.split("/")[0], target.split("/")[0]
        if here == there or here == "live":
            continue
        if here == "common":
            found.append(
                f"web/{name} imports web/{target}: web/common imports only itself; "
                "pass the value in, or move the file to the page that needs it."
            )
        elif here in PAGES and there != "common" and target != "live/index.js":
            found.append(
                f"web/{name} imports web/{target}: a page imports only web/common and web/live/index.js; "
                "export it from live/index.js, or move what both pages need to web/common."
            )
    return found


def circles(web: Path) -> list[str]:
    """Each circle of imports once, as the path around it."""
    graph = modules(web)
    done: set[str] = set()
    found = []

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            around = " → ".join(f"web/{step}" for step in [*trail[trail.index(name) :], name])
            found.append(f"{around} is a circle: move what they share into a file that imports none of them.")
        elif name not in done:
            for target in graph.get(name, ()):
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def too_long(web: Path) -> list[str]:
    return [
        f"web/{name} has {lines} lines: split it by what its parts do; at most {MAX_LINES}."
        for name in modules(web)
        if (lines := len((web / name).read_text().splitlines())) > MAX_LINES
    ]


def too_many_entries(web: Path) -> list[str]:
    """The library's entries: files, and folders that contain scripts."""
    entries = sorted(
        path.name for path in (web / "live").iterdir() if path.is_file() or any(path.rglob("*.js"))
    )
    if len(entries) <= MAX_ENTRIES:
        return []
    return [
        f"web/live has {len(entries)} entries ({', '.join(entries)}): "
        f"move a file into a folder; at most {MAX_ENTRIES}."
    ]


CHECKS = (
    missing,
    crossings_in_library,
    strays_in_library,
    crossings_of_pages,
    circles,
    too_long,
    too_many_entries,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_web_keeps_its_structure(check: object) -> None:
    assert callable(check)
    assert check(WEB) == []


def test_scan_finds_every_kind_of_reference() -> None:
    seen = modules(WEB)
    assert "live/network/network-session.js" in seen["live/network/network-worker.js"], "static import"
    assert "live/network/raw-session.js" in seen["live/index.js"], "dynamic import"
    assert "live/shared/events.js" in seen["live/audio/echo-detector.js"], "type in a comment"
    assert "live/network/network-worker.js" in seen["live/network/network-client.js"], "URL of a worker"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The library alone, to plant faults in."""
    shutil.copytree(WEB / "live", tmp_path / "live", ignore=shutil.ignore_patterns("types"))
    return tmp_path


def plant(web: Path, name: str, text: str) -> None:
    path = web / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "live/network/x.js",
            "import { Mic } from '../audio/mic.js';",
            "network and audio may not know each other; let session-run.js join them",
        ),
        (
            "live/audio/x.js",
            "/** @typedef {import('../network/messages.js').NetworkReport} Report */",
            "audio and network may not know each other",
        ),
        (
            "live/shared/x.js",
            "const url = new URL('../network/network-worker.js', import.meta.url);",
            "shared is below network and may not know it",
        ),
        (
            "live/media/x.js",
            "export const run = () => import('../session-run.js');",
            "media is below session-run.js and may not know it",
        ),
        ("live/audio/x.js", "import '../../common/dom.js';", "the library imports only itself"),
    ],
    ids=["sideways", "in a type", "a worker's URL", "upwards", "out of the library"],
)
def test_planted_upward_import_is_reported(copy: Path, name: str, text: str, sentence: str) -> None:
    plant(copy, name, text)
    (found,) = crossings_in_library(copy)
    assert found.startswith(f"web/{name} imports web/")
    assert sentence in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ops/x.js", "import { show } from '../demo/captions.js';"),
        ("demo/x.js", "/** @typedef {import('../live/shared/events.js').LiveEvents} LiveEvents */"),
        ("common/x.js", "import { LiveSession } from '../live/index.js';"),
    ],
)
def test_planted_import_of_a_page_is_reported(copy: Path, name: str, text: str) -> None:
    plant(copy, name, text)
    (found,) = crossings_of_pages(copy)
    assert found.startswith(f"web/{name} imports web/")


def test_planted_circle_is_reported_once(copy: Path) -> None:
    plant(copy, "live/shared/a.js", "import './b.js';")
    plant(copy, "live/shared/b.js", "/** @typedef {import('./a.js').A} A */")
    (found,) = circles(copy)
    assert found.startswith("web/live/shared/a.js → web/live/shared/b.js → web/live/shared/a.js is a circle")


def test_planted_long_file_and_planted_entry_are_reported(copy: Path) -> None:
    plant(copy, "live/audio/long.js", "\n" * (MAX_LINES + 1))
    plant(copy, "live/extra.js", "export {};")
    (long,) = too_long(copy)
    assert long.startswith(f"web/live/audio/long.js has {MAX_LINES + 1} lines")
    (entries,) = too_many_entries(copy)
    assert "extra.js" in entries
    (stray,) = strays_in_library(copy)
    assert stray.startswith("web/live/extra.js belongs to no layer")


def test_planted_wrong_path_is_reported(copy: Path) -> None:
    plant(copy, "live/audio/x.js", "import './no-such.js';")
    assert missing(copy) == [
        "web/live/audio/x.js refers to web/live/audio/no-such.js, which does not exist: correct the path."
    ]
