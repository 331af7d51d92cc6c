"""Links lead somewhere, the index of decisions is whole, and `make help` lists every target."""

from __future__ import annotations

import re
import subprocess

from tests.docs.markdown import ROOT, bare, rows

PAGES = [
    path for path in ROOT.rglob("*.md") if not {".venv", "node_modules", ".pytest_cache"} & set(path.parts)
]


def test_relative_links_lead_to_files() -> None:
    assert len(PAGES) > 10
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    assert [line.split()[0] for line in shown.splitlines()] == phony[1].split()


def test_tests_named_in_the_security_page_exist() -> None:
    """Each promise names the test that shows it; a promise whose test is gone is only a claim."""
    named = [
        bare(reference)
        for row in rows((ROOT / "docs/security.md").read_text())
        for reference in re.findall(r"`(tests/[\w/.-]+)`", " ".join(row))
    ]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
