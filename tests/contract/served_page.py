"""A page of the test's own on the broker's origin, in real Chromium, under the broker's page policy.

Playwright serves its files by interception. The broker serves everything else on that origin: the library,
its worker and worklets, and `POST /token`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import PurePosixPath

import httpx2
from playwright.async_api import Page, Route, async_playwright

from tests.browser.support import FLAGS

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
KINDS = {".js": "text/javascript", "": "text/html"}


@asynccontextmanager
async def served_page(
    origin: str, files: Mapping[str, str], flags: Sequence[str] = ()
) -> AsyncIterator[Page]:
    """`files` maps addresses on `origin` to their text; the first one is opened."""
    policy = httpx2.get(f"{origin}/", trust_env=False, timeout=30).headers["Content-Security-Policy"]

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(origin)
        kind = KINDS[PurePosixPath(path).suffix]
        headers = {"Content-Security-Policy": policy}
        await route.fulfill(content_type=kind, body=files[path], headers=headers)

    async with browser_page(flags) as page:
        for path in files:
            await page.route(origin + path, serve)
        await page.goto(origin + next(iter(files)))
        yield page


@asynccontextmanager
async def browser_page(flags: Sequence[str] = ()) -> AsyncIterator[Page]:
    """An empty page whose console and errors are printed."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        # Chromium treats an intercepted page as one from the public network.
        page = await browser.new_page(permissions=["local-network-access", "microphone"])
        page.on("console", lambda message: print("console:", message.text))
        page.on("pageerror", lambda error: print("page error:", error))
        yield page
        await browser.close()
