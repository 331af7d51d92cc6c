"""Links and named files exist, lines are short, and both indexes are complete: decisions and `make help`."""

from __future__ import annotations

import re
import subprocess

from tests.docs.markdown import ROOT, bare, rows

PAGES = [
    path for path in ROOT.rglob("*.md") if not {".venv", "node_modules", ".pytest_cache"} & set(path.parts)
]
DECISIONS = ROOT / "docs" / "decisions"
FOLDERS = "broker|web|tests|docs|scripts|requirements"


def test_relative_links_point_to_existing_files() -> None:
    assert len(PAGES) > 10
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings make, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_anchors_of_links_are_headings() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {target}#{anchor}"
        for page in PAGES
        for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text())
        if anchor not in anchors((page.parent / target if target else page).read_text())
    ]
    assert dead == []


def long_lines(text: str) -> list[int]:
    """Numbers of the lines over 120 characters. Table rows and the length of URLs do not count."""
    lines = enumerate(text.splitlines(), 1)
    return [
        number
        for number, line in lines
        if not line.lstrip().startswith("|") and len(re.sub(r"\w+://[^\s)\"`>]+", "", line)) > 120
    ]


def test_lines_have_at_most_120_characters() -> None:
    found = {str(page.relative_to(ROOT)): long_lines(page.read_text()) for page in PAGES}
    assert {page: numbers for page, numbers in found.items() if numbers} == {}


def test_a_long_line_is_found_outside_of_tables_and_urls() -> None:
    text = f"{'x' * 121}\n| {'x' * 121} |\n<https://example.com/{'x' * 121}>\n"
    assert long_lines(text) == [1]


def test_files_named_in_the_documents_exist() -> None:
    """Outside of the changelog, which may name files of earlier versions."""
    named = {
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]*\w)/?`", page.read_text())
        if not (ROOT / path).exists()
    }
    assert named == set()


def test_every_decision_is_in_the_index_with_its_title() -> None:
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\d{4}-[a-z0-9-]+\.md)\) \| (.*?)(?: \(superseded by \d{4}\))? \|$",
        (DECISIONS / "README.md").read_text(),
        re.MULTILINE,
    )
    titles = [(path.name, path.read_text().splitlines()[0]) for path in sorted(DECISIONS.glob("[0-9]*.md"))]
    assert [(name, f"# {number} {title}") for number, name, title in listed] == titles


def test_every_decision_has_the_same_sections() -> None:
    sections = {
        path.name: re.findall(r"^## (.*)$", path.read_text(), re.MULTILINE)
        for path in DECISIONS.glob("[0-9]*.md")
    }
    template = ["Context", "Decision", "Consequences"]
    assert {name: found for name, found in sections.items() if found != template} == {}


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile.replace("\\\n", " "), re.MULTILINE)
    assert phony
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    assert [line.split()[0] for line in shown.splitlines()] == phony[1].split()


def test_tests_named_in_the_security_page_exist() -> None:
    """Each promise names the test that proves it."""
    named = [
        bare(reference)
        for row in rows((ROOT / "docs/security.md").read_text())
        for reference in re.findall(r"`(tests/[\w/.-]+)`", " ".join(row))
    ]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
