"""SdkClient: the one google-genai client of this process, with our transport under it."""

from __future__ import annotations

import os
import ssl
import threading

import httpx2
from google import genai
from google.genai import types

from broker.minting.compile import API_VERSION
from broker.minting.transport import BoundedTransport


class SdkClient:
    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        deadline_seconds: float,
        max_concurrent: int,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Tests pass a `transport` in place of the bounded one, to record requests."""
        self._api_key = api_key
        self._base_url = base_url
        self._deadline_seconds = deadline_seconds
        self._max_concurrent = max_concurrent
        self._transport = transport
        self._lock = threading.Lock()
        self._client: genai.Client | None = None
        self._pid = 0

    def get(self) -> genai.Client:
        """Creates the client on first use:

        gunicorn forks its workers after the app, and they must not share sockets.
        """
        if self._client is None or self._pid != os.getpid():
            with self._lock:
                if self._client is None or self._pid != os.getpid():
                    self._client = self._create()
                    self._pid = os.getpid()
        return self._client

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _create(self) -> genai.Client:
        transport = self._transport or BoundedTransport(
            max_connections=self._max_concurrent, default_seconds=self._deadline_seconds
        )
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
