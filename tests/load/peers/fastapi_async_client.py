"""FastAPI with the async side of one google-genai client."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI
from google import genai

client = genai.Client(
    api_key="key-of-a-peer", http_options={"base_url": os.environ["UPSTREAM"], "api_version": "v1alpha"}
)


async def token() -> dict[str, str | None]:
    now = datetime.now(UTC)
    made = await client.aio.auth_tokens.create(
        config={
            "uses": 1,
            "expire_time": now + timedelta(minutes=15),
            "new_session_expire_time": now + timedelta(minutes=2),
            "live_connect_constraints": {
                "model": "gemini-3.8-live",
                "config": {"response_modalities": ["AUDIO"], "system_instruction": "Be brief."},
            },
        }
    )
    return {"token": made.name}


app = FastAPI()
app.add_api_route("/token", token, methods=["POST"])
