"""A token opens one session, in its time, in its place, and nothing else."""

from __future__ import annotations

import json
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from broker.cli.proof.attacks import Attack
from broker.standin import StandIn
from broker.standin.protojson import to_snake
from broker.standin.schema import MESSAGES
from tests.contract.canary import SCALE, SHIPPED, Attempt, Canary
from tests.contract.setup_attacks import FIELDS
from tests.standin.client import address, call, opened


def test_token_opens_one_session_in_its_time(canary: Canary) -> None:
    token = canary.token()
    attack = Attack("", json.dumps({"setup": token["setup"]}))
    with ThreadPoolExecutor(8) as executor:  # at the same moment
        attempts = [Attempt("one of eight", token) for _ in range(8)]
        done = list(executor.map(lambda one: canary.connect(one, attack), attempts))
    for number, attempt in enumerate(sorted(done, key=lambda one: not one.ready)):
        canary.refused("spent", attempt.ready and number > 0)
        assert attempt.ready or attempt.closed == (1011, "Token has been used too many times")
    assert any(attempt.ready for attempt in done)

    hasty = next(place for place in canary.profiles if place.endswith(": hasty"))
    late, expired, open_too_long = (canary.token(hasty) for _ in range(3))
    with opened(canary.url(open_too_long["token"])) as talker:
        talker.send({"setup": open_too_long["setup"]})
        assert talker.next() == {"setupComplete": {}}
        time.sleep(6 / SCALE)
        attempt = canary.connect(Attempt("late", late), attack)
        canary.refused("late", attempt.ready)
        assert attempt.closed == (1011, "new_session_expire_time deadline exceeded")
        assert talker.closing() == (1011, "auth token has expired")
        canary.refused("a session that outlives its token", False)
    attempt = canary.connect(Attempt("expired", expired), attack)
    canary.refused("expired", attempt.ready)
    assert attempt.closed == (1011, "Token has expired")


def test_other_tokens_open_nothing(canary: Canary) -> None:
    name = canary.token()["token"]
    head, tail = name[:-1], name[-1]
    with StandIn(port=0) as elsewhere:
        _status, answer, _headers = call(f"{elsewhere.url}/v1alpha/auth_tokens", {})
    forged = {
        "of another service": answer["name"],
        "tampered": head + ("0" if tail != "0" else "1"),
        "shortened": head,
        "lengthened": name + "0",
        "in capitals": name.upper(),
        "without its prefix": name.removeprefix("auth_tokens/"),
        "with its prefix twice": "auth_tokens/" + name,
        "with a blank": f" {name}",
        "with a line break": f"{name}\n",
        "with NUL": f"{name}\0",
        "with another path": name.replace("/", "/../auth_tokens/", 1),
        "encoded twice": urllib.parse.quote(name, safe=""),
        "empty": "",
        "a wildcard": "auth_tokens/*",
        "a bearer of the broker": canary.broker.bearer("alice"),
    }
    for what, credential in forged.items():
        query = urllib.parse.quote(credential, safe="")
        canary.refused(what, canary.opens(canary.url(query)))
        if credential.isprintable():
            headers = {"Authorization": f"Token {credential or '-'}"}
            if credential.strip() == name:
                continue  # HTTP ignores blanks around a value
            opens = canary.opens(address(canary.standin), additional_headers=headers)
            canary.refused(f"{what}, in the header", opens)


def test_token_is_accepted_in_its_own_place_only(canary: Canary) -> None:
    name = canary.token()["token"]
    other = "auth_tokens/standin-" + "0" * 32
    for constrained in (False, True):
        for query, headers in (
            (f"?key={name}", {}),
            (f"?api_key={name}", {}),
            (f"?token={name}", {}),
            (f"?ACCESS_TOKEN={name}", {}),
            ("", {"X-Goog-Api-Key": name}),
            ("", {"Authorization": f"Bearer {name}"}),
            ("", {"Authorization": f"Basic {name}"}),
            ("", {"Authorization": name}),
            ("", {"Cookie": f"access_token={name}"}),
            (f"?access_token={other}", {"Authorization": f"Token {name}"}),
            (f"?access_token={other}&access_token={name}", {}),
        ):
            url = address(canary.standin, query, constrained=constrained)
            opens = canary.opens(url, additional_headers=headers)
            canary.refused(f"{constrained} {query} {headers}", opens)
    for query, headers in (
        (f"?access_token={name}", {}),
        (f"?access_token={name}&key={name}", {}),
        ("", {"Authorization": f"Token {name}"}),
        (f"?access_token={name}", {"Authorization": f"Token {name}", "X-Goog-Api-Key": name}),
    ):
        url = address(canary.standin, query, constrained=False)
        canary.refused(f"plain {query}", canary.opens(url, additional_headers=headers))
    url = address(canary.standin, f"?access_token={name}", version="v1")
    canary.refused("v1", canary.opens(url))
    for odd in ("bidiGenerateContentConstrained", "BidiGenerateContentConstrained/", "StreamGenerateContent"):
        url = canary.url(name).replace("BidiGenerateContentConstrained", odd)
        canary.refused(odd, canary.opens(url))


def test_token_in_query_and_header_opens_its_own_session(canary: Canary) -> None:
    evil = {"tools": [{"googleSearch": {}}], "generation_config": {"temperature": 1.75}}
    first, second, third = (canary.token() for _ in range(3))
    attempts = []
    for token, query, header in (
        (first, first, first),
        (second, second, third),  # the query decides
    ):
        attack = Attack("", json.dumps({"setup": {"model": token["model"], **evil}}))
        headers = {"Authorization": f"Token {header['token']}", "X-Goog-Api-Key": header["token"]}
        attempt = Attempt("query and header", token)
        url = canary.url(query["token"])
        attempts.append(canary.connect(attempt, attack, url, additional_headers=headers))
        assert attempt.ready
    for version in ("v1alpha", "v1beta"):
        token = canary.token()
        attack = Attack("", json.dumps({"setup": {"model": token["model"], **evil}}))
        attempt = Attempt(version, token)
        url = canary.url(token["token"], version=version)
        attempts.append(canary.connect(attempt, attack, url))
        assert attempt.ready
    canary.judge(SHIPPED, attempts)


def test_token_opens_no_other_route(canary: Canary) -> None:
    name = canary.token()["token"]
    query = urllib.parse.quote(name, safe="")
    ways: list[tuple[str, dict[str, str]]] = [
        (f"?key={query}", {}),
        (f"?access_token={query}", {}),
        ("", {"x-goog-api-key": name}),
        ("", {"Authorization": f"Token {name}"}),
        ("", {"Authorization": f"Bearer {name}"}),
    ]
    with httpx2.Client(base_url=canary.standin.url, trust_env=False) as google:
        for version in ("v1alpha", "v1beta", "v1"):
            for method, path, body in (
                ("POST", "auth_tokens", {"uses": 0}),
                ("GET", "auth_tokens", None),
                ("GET", name, None),
                ("DELETE", name, None),
                ("GET", "models", None),
                ("POST", "models/gemini-3.8-live:generateContent", {"contents": []}),
                ("POST", "models/gemini-3.8-live:streamGenerateContent", {"contents": []}),
                ("POST", "models/gemini-3.8-live:countTokens", {"contents": []}),
                ("POST", "cachedContents", {}),
                ("GET", "files", None),
            ):
                for suffix, headers in ways:
                    answer = google.request(method, f"/{version}/{path}{suffix}", json=body, headers=headers)
                    what = f"{method} {version} {path} {suffix} {list(headers)}"
                    canary.refused(what, answer.is_success)


def test_broker_takes_no_field_of_a_setup_or_a_token(canary: Canary) -> None:
    """Another model, other tools, a longer session: asked for at POST /token."""
    before = len(canary.standin.control.received()["mints"])
    names = (
        *FIELDS,
        *MESSAGES["AuthToken"],
        *MESSAGES["GenerationConfig"],
        "config",
        "setup",
        "lock",
        "voice",
    )
    for name in dict.fromkeys(names):
        for spelling in {name, to_snake(name)}:
            answer = canary.http.post("/token", json={spelling: _wish(name)})
            canary.refused(spelling, answer.status_code not in (422, 404))
    for seconds in (901, 3600, 72000, 0, -1, 1e300, "900"):
        answer = canary.http.post("/token", json={"ttl_seconds": seconds})
        canary.refused(f"{seconds} seconds", answer.status_code != 422)
    for query in ("?model=models/other", "?uses=0", "?access_token=auth_tokens/x", "?key=x"):
        answer = canary.http.post(f"/token{query}")
        canary.refused(query, answer.is_success and _has_changed(answer.json()))
    mints = canary.standin.control.received()["mints"][before:]
    for mint in mints:
        canary.refused("a mint", mint["body"]["uses"] != 1 or not mint["body"]["fieldMask"])


def test_token_of_a_voided_mint_is_delivered_to_no_one(canary: Canary) -> None:
    """Its user is blocked while Google mints."""
    canary.broker.add_user("mallory")
    canary.standin.control.scenario("mint-slow", seconds=0.6, times=1)
    before = len(canary.standin.control.received()["mints"])
    with canary.broker.client("mallory") as http, ThreadPoolExecutor(1) as executor:
        asked = executor.submit(http.post, "/token")
        until = time.monotonic() + 10
        while len(canary.standin.control.received()["mints"]) == before and time.monotonic() < until:
            time.sleep(0.01)
        canary.broker.block_admin.block("mallory")
        answer = asked.result()
    mint = canary.standin.control.received()["mints"][before]
    assert mint["status"] == 200
    assert answer.status_code == 403
    canary.refused("a voided mint", "auth_tokens/" in answer.text or "auth_tokens/" in canary.broker.log)


def _wish(name: str) -> Any:
    return {"model": "models/gemini-3.8-live", "uses": 0}.get(name, {"canary": 1})


def _has_changed(token: dict[str, Any]) -> bool:
    return bool(token["expires_in"] > 900 or "gemini-2.5" not in token["model"])
