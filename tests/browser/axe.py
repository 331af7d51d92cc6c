"""axe-core: violations of WCAG 2.2 AA and of its best practices in the current page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

_AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async () => (await axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
})).violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ target, any }) =>
    target.join(' ') + any.map(({ message }) => ' (' + message + ')').join('')).join(', '))"""


def violations(page: Page) -> list[str]:
    """Needs a page whose visit ignores the content security policy, which forbids injected scripts."""
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(_AXE.read_text())
    found: list[str] = page.evaluate(_RUN)
    return found
