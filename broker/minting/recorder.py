"""RecordingTransport: what the Google SDK would send, without sending it.

The SDK does every conversion, through its public functions. So the bytes are its own, and nobody pays for the
same conversion twice.
"""

from __future__ import annotations

import httpx2


class RecordingTransport(httpx2.BaseTransport):
    """Keeps the last request and answers like Google."""

    def __init__(self) -> None:
        self.request: httpx2.Request | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.request = request
        return httpx2.Response(200, json={"name": "auth_tokens/recorded"})
