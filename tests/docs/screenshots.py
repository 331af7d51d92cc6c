"""`make screenshots`: takes the picture of the README from the demo page in a conversation.

The stand-in plays Google's part. The result is `docs/images/conversation.webp`. Chromium encodes it, so no
image library is needed.
"""

from __future__ import annotations

import base64
import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from broker.cli.dev import DEMO_PASSWORD, DEMO_USER
from tests.browser.support import launch, speak
from tests.docs.dev_broker import dev_broker
from tests.docs.markdown import ROOT

PICTURE = ROOT / "docs" / "images" / "conversation.webp"
LARGEST = 120_000
# The stand-in echoes speech, so a spoken sentence gives one caption of each voice.
SPOKEN = "Good morning. Can you hear me well? I would like to try a conversation."
TYPED = ["Can I type to you, too?", '/tool get_time {"timezone": "Europe/Vienna"}']


def talk(page: Page, url: str) -> None:
    page.goto(url)
    page.fill("#username", DEMO_USER)
    page.fill("#password", DEMO_PASSWORD)
    page.click("#sign-in-submit")
    page.click("#talk")
    model = page.locator("#captions [data-role=model]")
    status = page.locator("#status")
    for turn, line in enumerate(["", *TYPED]):
        if line:
            page.fill("#message", line)
            page.click("#send")
        expect(model).to_have_count(turn + 1, timeout=60_000)
        if turn < len(TYPED):
            expect(status).to_have_attribute("data-state", "listening", timeout=60_000)
    expect(status).to_have_attribute("data-state", re.compile("speaking|listening"))


def take(page: Page) -> bytes:
    devtools = page.context.new_cdp_session(page)
    taken = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 85})
    return base64.b64decode(taken["data"])


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = launch(playwright, speak(folder, SPOKEN, before=2.0))
        with dev_broker(folder) as url:
            page = browser.new_page(viewport={"width": 1280, "height": 840}, color_scheme="light")
            talk(page, url)
            picture = take(page)
            page.close()
        browser.close()
    if len(picture) > LARGEST:
        sys.exit(f"The picture has {len(picture)} bytes; at most {LARGEST} are allowed.")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(picture)
    print(f"{PICTURE.relative_to(ROOT)}: {len(picture)} bytes")


if __name__ == "__main__":
    main()
