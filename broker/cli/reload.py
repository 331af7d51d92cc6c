"""`broker reload`: the server on this machine loads the current broker.toml and key files."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from broker.cli.output import environment

# An argument of the server's master, and of the workers that it forks.
_CONFIG = b"python:broker.gunicorn_conf"
# A worker that is replaced finishes its requests first.
_PATIENCE_SECONDS = 60.0


@click.command("reload")
@click.option("--pid", type=int, help="The process id of gunicorn's master, if several servers run here.")
def reload(pid: int | None) -> None:
    """Make the server on this machine load the current broker.toml and key files.

    Run it with the environment of the server. It checks the files as a start does. If one is invalid, nothing
    changes. It waits until every worker is replaced. Open sessions keep their terms until their next token.
    """
    from broker.app import load_settings

    settings = load_settings(environment())
    master = pid or _only_master()
    before, workers = _digest(settings.port), set(_children(master))
    try:
        os.kill(master, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as fault:
        _fail(f"The process {master} cannot be signalled: {fault.strerror}.")
    until = time.monotonic() + _PATIENCE_SECONDS + settings.drain_seconds
    while workers & set(_children(master)):
        if time.monotonic() > until:
            _fail("Not every worker has been replaced yet: some still answer requests. Try /readyz later.")
        time.sleep(0.1)
    now = _digest(settings.port)
    if now is None:
        _fail(f"The server does not answer on port {settings.port}, so what is in force is unknown.")
    if now != settings.config_digest:
        _fail(f"The server follows {now}; the digest here is {settings.config_digest}. Its log says why.")
    click.echo(f"In force: {now}" + (", as before." if now == before else f" (before: {before})."))


def _only_master() -> int:
    servers = set(_servers())
    masters = sorted(pid for pid in servers if _parent(pid) not in servers)
    if not masters:
        _fail("No server runs on this machine, or this user may not see it. Name its process with --pid.")
    if len(masters) > 1:
        _fail(f"Several servers run on this machine: {', '.join(map(str, masters))}. Name one with --pid.")
    return masters[0]


def _servers() -> Iterator[int]:
    """Masters and workers, without a shell or `timeout` that started one: it has the same words."""
    for pid in _processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            program = Path(f"/proc/{pid}/exe").readlink().name
            if program.startswith("python") and any(word.endswith(_CONFIG) for word in words):
                yield pid
        except OSError:  # it has ended, or belongs to someone else
            continue


def _children(master: int) -> Iterator[int]:
    return (pid for pid in _processes() if _parent(pid) == master)


def _processes() -> Iterator[int]:
    return (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))


def _parent(pid: int) -> int | None:
    try:
        # The name before it is in parentheses, and may contain anything.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _digest(port: int) -> str | None:
    """Of the document in force. None: the server does not answer, or is not ready."""
    import http.client
    import json

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        answer = json.loads(connection.getresponse().read())
        return str(answer["config_digest"])
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
