"""At a terminal the log is plain lines without the pages' files; a pipe gets JSON, as before."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from flask import Flask

from broker.app import mount
from broker.telemetry.plain_lines import is_shown, render
from tests.support.terminal import at_terminal

ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), "TZ": "UTC"}
AT = "2026-11-30T09:15:02.123456Z"
SCRIPT = """
import structlog
from broker.telemetry import log
log.configure("INFO", secrets=["canary-secret"])
write = structlog.get_logger("broker.http").info
write("request", method="GET", route="/assets/<version>/<any(live, demo):part>/<path:name>", status=200)
write("request", method="POST", route="/token", status=200, subject="alice", milliseconds=41.6)
structlog.get_logger("broker").warning("clock_differs", clock="google", note="canary-secret")
"""


def line(**event: Any) -> str:
    return render(None, "", {"timestamp": AT, "level": "info", **event})


def test_terminal_gets_plain_lines_and_no_files_of_the_pages() -> None:
    status, shown = at_terminal(["-c", SCRIPT], ENVIRON, {})
    assert status == 0
    first, second = shown.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d POST /token 200 alice 42 ms", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING clock_differs clock=google note=\[redacted\]", second)


def test_pipe_gets_every_line_as_json() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=ENVIRON, capture_output=True, text=True, check=True, timeout=60
    )
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [
        "request",
        "request",
        "clock_differs",
    ]


def test_refusal_shows_its_code_and_reason() -> None:
    refused = {"method": "OPTIONS", "route": "/token", "status": 403, "code": "origin-forbidden"}
    shown = line(event="request", **refused, reason="origin http://localhost:5173 is not allowed", times=3)
    assert shown.split(" ", 1)[1] == (
        "OPTIONS /token 403 origin-forbidden (origin http://localhost:5173 is not allowed) times=3"
    )


def test_texts_of_callers_cannot_move_the_cursor_or_begin_a_line() -> None:
    shown = line(
        event="request", method="GET", route=None, status=404, subject="a\nb", reason="\x1b[2J\u202e"
    )
    assert shown.isprintable()
    assert "\\x1b[2J" in shown


def test_traceback_follows_on_lines_of_its_own() -> None:
    shown = line(event="request_failed", level="error", exception="Traceback\n  File x\nValueError: \x1b[1m")
    assert shown.splitlines()[0].endswith("ERROR request_failed")
    assert shown.splitlines()[1:] == ["    Traceback", "      File x", "    'ValueError: \\x1b[1m'"]


def test_files_are_hidden_only_while_they_are_delivered() -> None:
    app = Flask("rules", static_folder=None)
    mount(app)
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    files = {rule for rule in rules if "path:name" in rule or rule == "/favicon.ico"}
    assert len(files) == 3
    for status in (200, 304, 404, 500):
        hidden = {rule for rule in rules if not is_shown(record(rule, status))}
        assert hidden == (files if status < 400 else set())


def record(route: str, status: int) -> logging.LogRecord:
    event = {"event": "request", "route": route, "status": status}
    return logging.LogRecord("broker.http", logging.INFO, "", 1, event, (), None)
