"""Flask with one google-genai client for the process."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from google import genai

app = Flask(__name__)
client = genai.Client(
    api_key="key-of-a-peer", http_options={"base_url": os.environ["UPSTREAM"], "api_version": "v1alpha"}
)


@app.post("/token")
def token() -> ResponseReturnValue:
    now = datetime.now(UTC)
    made = client.auth_tokens.create(
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
    return jsonify(token=made.name)
