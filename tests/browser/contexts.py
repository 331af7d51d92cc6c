"""Browser contexts that keep the HTTP cache from one test to the next, and nothing else.

Loading the modules of a page into an empty cache takes more processor time than most tests. Cookies, storage,
permissions and routes are removed before a context is used again.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, BrowserContext

_STORAGE = "cookies,local_storage,indexeddb,cache_storage,service_workers,websql,file_systems"
_unused: dict[tuple[Browser, str], list[BrowserContext]] = {}


def take(browser: Browser, **options: Any) -> BrowserContext:
    """Returns an unused context with these options of `Browser.new_context`. It has no page yet."""
    unused = _unused.get((browser, repr(sorted(options.items()))), [])
    return unused.pop() if unused else browser.new_context(**options)


def give_back(context: BrowserContext, url: str, **options: Any) -> None:
    """Closes the pages, removes what the site of `url` stored, and keeps the context for the next test."""
    browser = context.browser
    if browser is None or not browser.is_connected():
        return
    context.unroute_all(behavior="ignoreErrors")
    context.set_offline(False)
    context.clear_permissions()
    context.clear_cookies()
    *others, last = context.pages or [context.new_page()]
    for page in others:
        page.close()
    origin = "/".join(url.split("/")[:3])
    cdp = context.new_cdp_session(last)
    cdp.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": _STORAGE})
    last.close()
    _unused.setdefault((browser, repr(sorted(options.items()))), []).append(context)
