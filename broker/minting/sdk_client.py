"""SdkClient: the one google-genai client of this process, with our transport under it.

A token is asked for with the URL and the headers that the SDK has written once, because all tokens have the
same: running the SDK for each one takes twice as long as the rest of the call.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2
from google import genai
from google.genai import errors, types

from broker.minting.compile import API_VERSION
from broker.minting.recorder import RecordingTransport
from broker.minting.transport import BoundedTransport


@dataclass(frozen=True)
class _Process:
    """What belongs to one process: gunicorn forks its workers after the app, and they share no sockets."""

    pid: int
    client: genai.Client
    transport: BoundedTransport
    token_url: httpcore2.URL
    token_headers: Sequence[tuple[bytes, bytes]]


class SdkClient:
    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        deadline_seconds: float,
        max_concurrent: int,
        transport: BoundedTransport | None = None,
    ) -> None:
        """Tests pass a `transport` that answers by itself."""
        self._api_key = api_key
        self._base_url = base_url
        self._deadline_seconds = deadline_seconds
        self._max_concurrent = max_concurrent
        self._transport = transport
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def get(self) -> genai.Client:
        """Creates the client on first use."""
        return self._of_this_process().client

    def create_token(self, body: bytes) -> Any:
        """Google's answer to `auth_tokens.create` with this body. Raises `errors.APIError` like the SDK."""
        own = self._of_this_process()
        request = httpcore2.Request(
            "POST",
            own.token_url,
            headers=[*own.token_headers, (b"Content-Length", str(len(body)).encode())],
            content=body,
        )
        status, headers, answer = own.transport.send(request, self._deadline_seconds)
        if status != 200:
            errors.APIError.raise_for_response(httpx2.Response(status, headers=headers, content=answer))
        return json.loads(answer)

    def close(self) -> None:
        with self._lock:
            own, self._process = self._process, None
        if own is not None:
            own.client.close()

    def _of_this_process(self) -> _Process:
        own = self._process
        if own is None or own.pid != os.getpid():
            with self._lock:
                own = self._process
                if own is None or own.pid != os.getpid():
                    own = self._process = self._create()
        return own

    def _create(self) -> _Process:
        transport = self._transport or BoundedTransport(
            max_connections=self._max_concurrent, default_seconds=self._deadline_seconds
        )
        recorder = RecordingTransport()
        with self._client(recorder) as recording:
            recording.auth_tokens.create(config=types.CreateAuthTokenConfig(uses=1))
        assert recorder.request is not None
        # The bodies differ in length, and a compressed answer of 64 KB can expand a thousand times.
        headers = [
            (name, b"identity" if name.lower() == b"accept-encoding" else value)
            for name, value in recorder.request.headers.raw
            if name.lower() != b"content-length"
        ]
        return _Process(
            pid=os.getpid(),
            client=self._client(transport),
            transport=transport,
            token_url=httpcore2.URL(str(recorder.request.url)),
            token_headers=headers,
        )

    def _client(self, transport: httpx2.BaseTransport) -> genai.Client:
        # The transport verifies TLS with its own context. This context has no certificates, so any connection
        # that the SDK opens itself fails. It also saves the SDK loading the CA bundle three times.
        no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return genai.Client(
            vertexai=False,
            api_key=self._api_key,
            http_options=types.HttpOptions(
                base_url=self._base_url,
                api_version=API_VERSION,
                timeout=milliseconds(self._deadline_seconds),
                client_args={
                    "transport": transport,
                    "follow_redirects": False,
                    "trust_env": False,
                    "verify": no_certificates,
                },
                async_client_args={"verify": no_certificates, "ssl": no_certificates, "trust_env": False},
            ),
        )


def milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
