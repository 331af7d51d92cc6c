"""axe-core: what breaks WCAG 2.2 AA on a page as it stands, or what axe calls good practice."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

_AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async () => (await axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
})).violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ target, any }) =>
    target.join(' ') + any.map(({ message }) => ' (' + message + ')').join('')).join(', '))"""


def violations(page: Page) -> list[str]:
    """Needs a page that goes without its content security policy: injected checkers are what it forbids."""
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(_AXE.read_text())
    found: list[str] = page.evaluate(_RUN)
    return found
