"""`broker dev`: the whole service on this machine in one command, for trying it out.

Starts the same gunicorn and the same app as production. Only the environment differs: a database and a secret
of its own under `var/dev/`, a demo user, an operator, loopback, and the stand-in instead of Google if
GEMINI_API_KEY is not set.
"""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess  # the command starts itself # nosec B404
import sys
import threading
import time
from collections.abc import Mapping
from importlib import import_module

from broker.cli import dev_environment
from broker.cli.dev_greeting import Trial, greeting
from broker.principal import OPERATOR

DEMO_USER = "demo"
DEMO_PASSWORD = "demo-password"  # noqa: S105 - on loopback only, in a separate database
OPERATOR_USER = "operator"


def run(port: int) -> int:
    """Run until interrupted; returns the exit status."""
    _require_free(port)
    environ = dev_environment.prepared(port)
    children: list[subprocess.Popen[str]] = []
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        has_key = dev_environment.has_key(environ)
        if not has_key:
            children.append(_start_standin(environ))
        password = _prepare_store(environ)
        children.append(_start_broker(environ))
        trial = Trial(environ) if has_key else None
        _wait_until_it_listens(port, children)
        accounts = {DEMO_USER: DEMO_PASSWORD, OPERATOR_USER: password}
        _say("\n" + greeting(port, environ, accounts, has_key=has_key) + "\n")
        if trial is not None and (result := trial.result()):
            _say(result + "\n")
        return _wait(children)
    except KeyboardInterrupt:
        return 0
    finally:
        for child in reversed(children):
            _stop(child)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as fault:
            raise SystemExit(
                f"Port {port} is not available: {fault.strerror}. Choose another one: PORT=8081 make run, "
                "or broker dev --port 8081."
            ) from None


def require_standin() -> None:
    """Exits with an explanation if the stand-in's packages are missing, as in a production installation."""
    try:
        import_module("broker.standin")  # a package may be there and lack one of its own
    except ImportError as missing:
        raise SystemExit(
            "The stand-in is not part of this installation. Install the extra `standin` or "
            "requirements/run.txt, or set GEMINI_API_KEY, so that `broker dev` uses Google instead. "
            f"Missing: {missing.name}."
        ) from None


def _start_standin(environ: dict[str, str]) -> subprocess.Popen[str]:
    require_standin()
    command = [sys.executable, "-m", "broker.standin", "--port", "0"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ourselves # nosec B603
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line.startswith("stand-in ready: "):
        raise SystemExit("The stand-in did not start.")
    # The list that follows is for those who start the stand-in alone. Here it would bury the greeting.
    threading.Thread(target=child.stdout.read, daemon=True).start()
    environ["BROKER_LIVE_URL"] = line.removeprefix("stand-in ready: ").strip()
    environ["GEMINI_API_KEY"] = "standin-" + secrets.token_hex(16)
    return child


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is a command


def _start_broker(environ: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gunicorn", "--config", "python:broker.gunicorn_conf"]
    app = f"broker.app:create_app(demo_sign_in={(DEMO_USER, DEMO_PASSWORD)})"
    command += ["--bind", f"127.0.0.1:{environ['PORT']}", app]
    return subprocess.Popen(command, env=environ, text=True)  # noqa: S603 - ourselves # nosec B603


def _prepare_store(environ: Mapping[str, str]) -> str:
    """Makes the two users unless an earlier run did. Returns the operator's password."""
    from broker import settings as settings_module
    from broker.operators.users import UserAdmin
    from broker.store.accounts.users import SqlUsers
    from broker.store.database import migrate
    from broker.store.database.engine import Database

    settings = settings_module.load(environ)
    database = Database(settings.database_url.get_secret_value(), pool_size=2)
    password = dev_environment.operator_password()
    admin, known = UserAdmin(settings, database, actor="broker dev"), SqlUsers(database)
    try:
        migrate.upgrade(database)
        if known.find(DEMO_USER) is None:
            admin.add(DEMO_USER, DEMO_PASSWORD)
        if known.find(OPERATOR_USER) is None:
            admin.add(OPERATOR_USER, password, roles=[OPERATOR])
    finally:
        database.dispose()
    return password


def _wait_until_it_listens(port: int, children: list[subprocess.Popen[str]]) -> None:
    while all(child.poll() is None for child in children):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


def _wait(children: list[subprocess.Popen[str]]) -> int:
    """Wait until one of them ends: neither works without the other."""
    while True:
        for child in children:
            if (status := child.poll()) is not None:
                return status
        time.sleep(0.2)


def _stop(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
