"""Configures gunicorn: `gunicorn --config python:broker.gunicorn_conf 'broker.app:create_app()'`.

Every value comes from the settings. The master reports all invalid settings once, before it starts a worker,
because gunicorn restarts a worker that exits during boot for ever.
"""

from __future__ import annotations

import ipaddress
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from broker.app import load_settings
from broker.minting.minter import preload_models
from broker.minting.models import CACHE_SECONDS
from broker.parts import parts_of
from broker.settings import Settings, SettingsError, in_force
from broker.store.database.engine import file_fault
from broker.telemetry import metrics_folder, repeats, shared_values
from broker.telemetry.log import QUIET


def _refuse_to_start(faults: Sequence[str]) -> NoReturn:
    print("The broker cannot start:", *faults, sep="\n  - ", file=sys.stderr)  # noqa: T201
    raise SystemExit(2)


try:
    _settings = load_settings()
except SettingsError as error:
    _refuse_to_start(error.faults)
if _fault := file_fault(_settings.database_url.get_secret_value()):
    _refuse_to_start([f"BROKER_DATABASE_URL: {_fault}"])
in_force.keep(_settings)

shared_values.use_folder(metrics_folder.prepare(os.environ))

# A stand-in means development, so the broker then listens on loopback only.
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - a server's job # nosec B104
bind = f"{'127.0.0.1' if _settings.standin else _EVERYWHERE}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "broker.http.gunicorn_worker.EventLoopWorker"
threads = _settings.threads
# Not the faster loop and parser that may be installed: these are the ones that are tested.
asgi_loop = "asyncio"
http_parser = "python"
asgi_lifespan = "off"
asgi_disconnect_grace_period = 0  # a request that waits for a thread is dropped with its client
control_socket_disable = True
accesslog = None  # http/request_log.py logs requests without queries and tokens
# The broker's format and redaction. Below INFO, gunicorn logs paths and queries.
logconfig_dict = {
    "formatters": {"json": {"()": "broker.telemetry.log.formatter"}},
    "handlers": {
        "stderr": {"class": "broker.telemetry.stderr.StderrHandler", "formatter": "json"},
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
        **{name: {"level": "WARNING"} for name in QUIET},
    },
}
timeout = 30
# The drain, then a request's ten seconds, the time in which a client sends it, and a margin.
graceful_timeout = 20 + _settings.drain_seconds
keepalive = 5
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 16384  # a bearer may have 8 KB
forwarded_allow_ips = ""  # the broker itself evaluates BROKER_TRUSTED_PROXIES
_DESCRIPTORS = 4096
# The longest wait of a thread that holds the store's lock for a thread that computes. A mint waits after each
# of a dozen statements. With Python's default of 5 ms, these waits would be most of its time.
_SWITCH_SECONDS = 0.0005


def on_starting(server: Any) -> None:
    """Refuses to start if a set-up for this machine only would listen on the network."""
    if faults := _network_faults(_settings, server.cfg.address):
        on_exit(server)
        _refuse_to_start(faults)
    for warning in _settings.warnings:
        server.log.warning("%s", warning)


def on_reload(server: Any) -> None:
    """SIGHUP: takes over the present settings and files if they are valid. Otherwise nothing changes."""
    try:
        found = load_settings()
        faults = _network_faults(found, server.cfg.address)
        if fault := file_fault(found.database_url.get_secret_value()):
            faults.append(f"BROKER_DATABASE_URL: {fault}")
    except SettingsError as error:
        faults = error.faults
    if faults:
        server.log.error(
            "The settings in force stay, because the new ones are invalid: %s", "; ".join(faults)
        )
    else:
        in_force.keep(found)
        for warning in found.warnings:
            server.log.warning("%s", warning)


def _network_faults(settings: Settings, addresses: Iterable[Any]) -> list[str]:
    guests = settings.config.guests
    faults = []
    for address in addresses:
        if settings.standin and not _is_loopback(address):
            faults.append(
                "BROKER_LIVE_URL names a stand-in on loopback: a development set-up must not listen on "
                f"{_named(address)}"
            )
        # A proxy in front of a Unix socket may be open to the network.
        if guests.enabled and not guests.allow_network and not (_is_tcp(address) and _is_loopback(address)):
            faults.append(
                f"broker.toml: guests.enabled: {_named(address)} is not on loopback; anyone who can "
                "reach the page could talk at your cost. To allow it, set guests.allow_network = true"
            )
    return faults


def post_fork(_server: Any, worker: Any) -> None:
    """Every connection takes a file descriptor, and the usual limit is low."""
    _load_app_again(worker)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if 0 <= soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    sys.setswitchinterval(_SWITCH_SECONDS)


def _load_app_again(worker: Any) -> None:
    """With --preload, the master has loaded the app. Its threads stay there, so a worker loads its own."""
    if worker.cfg.preload_app:
        worker.app.callable = None


def post_worker_init(worker: Any) -> None:
    """Looks up the models in the background, so that callers do not wait and GET /profiles is up to date."""
    parts = parts_of(worker.wsgi)

    def look_up() -> None:
        while True:
            preload_models(parts.minter, parts.catalog.all())
            time.sleep(CACHE_SECONDS)

    threading.Thread(target=look_up, daemon=True).start()


def worker_exit(_server: Any, worker: Any) -> None:
    """After the drain: writes what this worker has only counted so far."""
    if hasattr(worker, "wsgi"):  # otherwise it could not start
        parts_of(worker.wsgi).issuer.first.warm_tokens.close()
    repeats.write_all()


def on_exit(server: Any) -> None:
    """Deletes the metrics folder with the last master. After SIGUSR2, two masters share it for a while."""
    if not server.reexec_pid and not server.master_pid:
        metrics_folder.remove(os.environ)


def _named(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if _is_tcp(address) else str(address)


def _is_tcp(address: Any) -> bool:
    return isinstance(address, tuple)


def _is_loopback(address: Any) -> bool:
    if not _is_tcp(address):
        return isinstance(address, str)  # a Unix socket; an inherited descriptor may be anything
    host = str(address[0])
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
