"""The memory of a page's threads: the page, its workers and its worklets.

Playwright does not support worklets, so this module opens DevTools sessions for them itself.
"""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page

from tests.browser.support import wait_for

PARTS = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")


class Heaps:
    """Create it before the page opens."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._cdp = page.context.new_cdp_session(page)
        self._threads: dict[str, str] = {}  # session -> worker | worklet
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._cdp.on("Target.attachedToTarget", self._attached)
        self._cdp.on("Target.detachedFromTarget", self._detached)
        self._cdp.on("Target.receivedMessageFromTarget", self._hear)
        self._cdp.send(
            "Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
        )

    def used(self) -> dict[str, int]:
        """Bytes of each thread after a garbage collection, including those outside the script heap.

        Audio contexts of one page may share a thread. Its bytes then count for each of their worklets.
        """
        for _ in range(2):  # objects that the first pass finds unused are free after the second
            for session in self._threads:
                self._ask(session, "HeapProfiler.collectGarbage")
            self._cdp.send("HeapProfiler.collectGarbage")
            self._page.wait_for_timeout(100)
        found = {self._name(session): self._ask(session, "Runtime.getHeapUsage") for session in self._threads}
        found["page"] = self._cdp.send("Runtime.getHeapUsage")
        return {name: sum(int(usage[part]) for part in PARTS) for name, usage in found.items()}

    def _name(self, session: str) -> str:
        kind = self._threads[session]
        if kind != "worklet":
            return kind
        which = self._ask(session, "Runtime.evaluate", expression="sampleRate === 24000")["result"]["value"]
        return "playback worklet" if which else "capture worklet"

    def _attached(self, event: dict[str, Any]) -> None:
        self._threads[event["sessionId"]] = event["targetInfo"]["type"]

    def _detached(self, event: dict[str, Any]) -> None:
        self._threads.pop(event["sessionId"], None)

    def _hear(self, event: dict[str, Any]) -> None:
        answer = json.loads(event["message"])
        if "id" in answer:
            self._answers[answer["id"]] = answer

    def _ask(self, session: str, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        number = self._asked
        message = json.dumps({"id": number, "method": method, "params": params})
        self._cdp.send("Target.sendMessageToTarget", {"sessionId": session, "message": message})

        def answered() -> bool:
            self._page.wait_for_timeout(2)  # Playwright takes note of events only while it is asked something
            return number in self._answers

        wait_for(f"{method} of a {self._threads[session]}", answered, 30)
        result: dict[str, Any] = self._answers.pop(number)["result"]
        return result
