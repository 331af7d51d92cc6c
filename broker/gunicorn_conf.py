"""Configures gunicorn: `gunicorn --config python:broker.gunicorn_conf 'broker.app:create_app()'`.

Every value comes from the settings. The master reports all invalid settings once, before it starts a worker,
because gunicorn restarts a worker that exits during boot for ever.
"""

from __future__ import annotations

import ipaddress
import os
import resource
import shutil
import sys
import tempfile
import threading
from typing import Any

_METRICS = "PROMETHEUS_MULTIPROC_DIR"
# prometheus_client reads the variable at import, and the app imports it. The folder is in memory, because
# each counter is a page of a file. A master that reloads, or hands over to a new one, keeps the folder.
_made = _METRICS not in os.environ
if _made:
    os.environ[_METRICS] = tempfile.mkdtemp(prefix="live-broker-metrics-", dir="/dev/shm")

from prometheus_client.multiprocess import mark_process_dead  # noqa: E402

from broker.app import load_settings  # noqa: E402
from broker.minting.minter import preload_models  # noqa: E402
from broker.parts import parts_of  # noqa: E402
from broker.settings import SettingsError  # noqa: E402
from broker.telemetry.log import QUIET  # noqa: E402

try:
    _settings = load_settings()
except SettingsError as error:
    print("The broker cannot start:", *error.faults, sep="\n  - ", file=sys.stderr)  # noqa: T201
    if _made:
        shutil.rmtree(os.environ[_METRICS], ignore_errors=True)
    raise SystemExit(2) from None

# A stand-in means development, so the broker then listens on loopback only.
bind = f"{'127.0.0.1' if _settings.standin else '0.0.0.0'}:{_settings.port}"  # noqa: S104 - a server's job
workers = _settings.web_concurrency
worker_class = "broker.http.gunicorn_worker.EventLoopWorker"
threads = _settings.threads
# Not the faster loop and parser that may be installed: these are the ones that are tested.
asgi_loop = "asyncio"
http_parser = "python"
asgi_lifespan = "off"
asgi_disconnect_grace_period = 0  # a request that waits for a thread is dropped with its client
control_socket_disable = True
worker_tmp_dir = "/dev/shm"  # noqa: S108 - heartbeats on a disk can stall a worker
accesslog = None  # http/request_log.py logs requests without queries and tokens
# The broker's format and redaction. Below INFO, gunicorn logs paths and queries.
logconfig_dict = {
    "formatters": {"json": {"()": "broker.telemetry.log.formatter"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json"},
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
    guests = _settings.config.guests
    faults = []
    for address in server.cfg.address:
        if _settings.standin and not _is_loopback(address):
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
    if faults:
        print("The broker cannot start:", *faults, sep="\n  - ", file=sys.stderr)  # noqa: T201
        on_exit(server)
        raise SystemExit(2)


def post_fork(_server: Any, _worker: Any) -> None:
    """Every connection takes a file descriptor, and the usual limit is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if 0 <= soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    sys.setswitchinterval(_SWITCH_SECONDS)


def post_worker_init(worker: Any) -> None:
    """Loads the list of models in the background, so that the first caller does not wait for it."""
    parts = parts_of(worker.wsgi)
    threading.Thread(target=preload_models, args=(parts.minter, parts.catalog.all()), daemon=True).start()


def child_exit(_server: Any, worker: Any) -> None:
    """Removes the gauges of a worker that ended. Its counters remain in the totals, even if it was killed."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Deletes the metrics folder with the last master. After SIGUSR2, two masters share it for a while."""
    if not server.reexec_pid and not server.master_pid:
        shutil.rmtree(os.environ[_METRICS], ignore_errors=True)


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
