"""POST /{version}/auth_tokens. Checks the body, then the key, then the terms, in Google's order.

Handles the HTTP side of minting and its scenarios. `tokens.py` has the terms.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from aiohttp import web

from broker.standin import protojson
from broker.standin.close_reasons import BEARER_DETAILS, KEY_INVALID_DETAILS, bad_request, error_body
from broker.standin.records import epoch_ms
from broker.standin.state import State
from broker.standin.tokens import TermsError, fingerprint

SHOWN_HEADERS = ("Content-Type", "User-Agent", "X-Goog-Api-Client", "X-Server-Timeout")
JSON = "application/json; charset=UTF-8"
# Query parameters that Google takes with every method.
COMMON_PARAMETERS = frozenset({"$alt", "$fields", "alt", "fields", "key", "prettyPrint", "quotaUser"})


def key_of(request: web.Request) -> str:
    return request.headers.get("X-Goog-Api-Key") or request.query.get("key", "")


def key_refusal(request: web.Request, state: State) -> web.Response | None:
    """Google's answer to a missing or wrong key. It does not take bearers of OAuth here."""
    key = key_of(request)
    if request.headers.get("Authorization", "").lower().startswith("bearer "):
        return refusal(401, details=BEARER_DETAILS)
    if not key:
        return refusal(403)
    if not state.key_accepted(key):
        return refusal(400, details=KEY_INVALID_DETAILS)
    return None


def refusal(status: int, message: str = "", details: list[dict[str, Any]] | None = None) -> web.Response:
    body = json.dumps(error_body(status, message, details), indent=2)
    return web.Response(status=status, text=body, headers={"Content-Type": JSON})


async def mint(request: web.Request, state: State, version: str) -> web.StreamResponse:
    raw = await request.read()
    entry: dict[str, Any] = {
        "ms": epoch_ms(),
        "path": request.path,
        "version": version,
        "headers": {name: request.headers[name] for name in SHOWN_HEADERS if name in request.headers},
        "key_given": bool(key_of(request)),
        "body": _shown(raw),
        "peer": ":".join(map(str, (request.transport.get_extra_info("peername") or ())[:2]))
        if request.transport
        else "",
    }
    state.records.note_mint(entry)
    entry["status"] = None  # stays None if the request is never answered
    odd = await _misbehave(request, state)
    response = odd or _grant(request, state, version, raw, entry)
    if (
        isinstance(response, web.Response)
        and not response.prepared
        and (drip := state.scenarios.use("mint-drip"))
    ):
        return await _drip(request, response, float(drip["interval_seconds"]), entry)
    entry["status"] = response.status
    return response


def _grant(
    request: web.Request, state: State, version: str, raw: bytes, entry: dict[str, Any]
) -> web.Response:
    if version == "v1" and state.scenarios.peek("v1-tokens") is None:
        return web.Response(status=404)
    if no := parameter_refusal(request):
        return no
    try:
        value = protojson.load(raw) if raw else {}
        if state.scenarios.peek("snake-masks") is not None:
            value = _with_camel_mask(value)
        wanted = protojson.read("AuthToken", value, version, "auth_token")
    except protojson.BadMessage as fault:
        return refusal(400, fault.text, bad_request(fault.where, fault.text))
    if no := key_refusal(request, state):
        return no
    skew = state.scenarios.peek("clock-skew")
    try:
        token = state.tokens.mint(wanted, float(skew["seconds"]) if skew else 0.0)
    except TermsError as fault:
        return refusal(400, str(fault), bad_request(fault.field, str(fault)))
    entry["token_sha256"] = fingerprint(token.name)
    return web.Response(text=json.dumps({"name": token.name}), headers={"Content-Type": JSON})


def parameter_refusal(request: web.Request, known: frozenset[str] = frozenset()) -> web.Response | None:
    """Google's answer to a query parameter that the method does not have."""
    for name in request.query:
        if name not in COMMON_PARAMETERS and name not in known:
            text = (
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message."
            )
            return refusal(400, text, bad_request("", text))
    return None


def _with_camel_mask(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    masks = {name: value[name] for name in ("fieldMask", "field_mask") if isinstance(value.get(name), str)}
    return value | {name: protojson.to_camel(mask) for name, mask in masks.items()}


async def _misbehave(request: web.Request, state: State) -> web.Response | None:
    """The answer that a scenario gives in place of the real one."""
    use = state.scenarios.use
    if slow := use("mint-slow"):
        await asyncio.sleep(float(slow["seconds"]))
    if hang := use("mint-hang"):
        await asyncio.sleep(float(hang["seconds"]))
    if use("mint-disconnect") is not None and request.transport:
        request.transport.abort()
        return web.Response(status=500)  # never seen
    if wanted := use("mint-status"):
        status = int(wanted["status"])
        if wanted["body"] is not None:
            return web.Response(status=status, text=str(wanted["body"]), headers={"Content-Type": JSON})
        return refusal(status, str(wanted["message"]))
    if big := use("mint-big"):
        padding = "x" * int(float(big["megabytes"]) * 1_000_000)
        return web.Response(text=json.dumps({"padding": padding}), headers={"Content-Type": JSON})
    if redirect := use("mint-redirect"):
        return web.Response(status=int(redirect["status"]), headers={"Location": str(redirect["location"])})
    for name in ("mint-bad-json", "mint-empty-name"):
        if odd := use(name):
            return web.Response(text=str(odd["body"]), headers={"Content-Type": JSON})
    return None


async def _drip(
    request: web.Request, response: web.Response, interval: float, entry: dict[str, Any]
) -> web.StreamResponse:
    body = response.body if isinstance(response.body, bytes) else b""
    stream = web.StreamResponse(status=response.status, headers={"Content-Type": JSON})
    stream.content_length = len(body)
    with suppress(ConnectionResetError):  # the caller has given up
        await stream.prepare(request)
        for at in range(len(body)):
            await stream.write(body[at : at + 1])
            await asyncio.sleep(interval)
        await stream.write_eof()
    entry["status"] = response.status
    return stream


def _shown(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")
