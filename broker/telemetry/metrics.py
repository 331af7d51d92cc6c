"""Every metric, declared once. `docs/operations.md` explains them; a test compares the two.

Owns names, labels and buckets. Needs prometheus_client, which adds up the workers of one gunicorn through
files: `shared_values` writes them, and `metrics_folder` makes their folder. Labels come from closed sets,
without names or text from outside, so the metrics do not reveal who talks. `http/metrics.py` serves
`GET /metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from broker.telemetry import shared_values

shared_values.install()
DECLARED = CollectorRegistry()
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SLOW = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0)

TOKENS = Counter("broker_tokens", "Tokens delivered.", ["profile"], registry=DECLARED)
WARM_TOKENS = Counter(
    "broker_warm_tokens",
    "Tokens minted ahead: requests that got one or found none, and tokens that nobody got.",
    ["profile", "outcome"],
    registry=DECLARED,
)
REFUSALS = Counter("broker_refusals", "Requests refused.", ["code"], registry=DECLARED)
MINT_SECONDS = Histogram(
    "broker_mint_seconds",
    "How long Google took to make a token, or to fail.",
    ["outcome"],
    buckets=_SLOW,
    registry=DECLARED,
)
UPSTREAM_ERRORS = Counter(
    "broker_upstream_errors",
    "Calls to Google that failed, the model look-ups too.",
    ["code"],
    registry=DECLARED,
)
OWNER_KINDS = ("user", "key", "team", "project")
BUDGET_THRESHOLDS = Counter(
    "broker_budget_thresholds",
    "Thresholds of budgets that were reached, in percent, by who owns the budget.",
    ["kind", "threshold"],
    registry=DECLARED,
)
CLOCK_AHEAD_SECONDS = Gauge(
    "broker_clock_ahead_seconds",
    "Seconds by which another clock is at least ahead of this host's; negative if it is behind.",
    ["clock"],
    registry=DECLARED,
    multiprocess_mode="mostrecent",
)
LIMITER_SECONDS = Histogram(
    "broker_limiter_seconds", "Counting a request on its rates.", buckets=_FAST, registry=DECLARED
)
STORE_SECONDS = Histogram(
    "broker_store_seconds",
    "A transaction, with the wait for its turn.",
    ["kind"],
    buckets=_FAST,
    registry=DECLARED,
)
HTTP_REQUESTS = Counter(
    "broker_http_requests", "Requests answered.", ["route", "method", "status"], registry=DECLARED
)
HTTP_SECONDS = Histogram(
    "broker_http_request_seconds",
    "From the first line of a request to its answer.",
    ["route"],
    buckets=_SLOW,
    registry=DECLARED,
)
SIGN_INS = Counter("broker_sign_ins", "Sign-ins with a password.", ["outcome"], registry=DECLARED)
FIRST_AUDIO_SECONDS = Histogram(
    "broker_client_first_audio_seconds",
    "From the click to the first sound, as clients report it; once a session.",
    buckets=(0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
    registry=DECLARED,
)
UNDERRUNS = Counter(
    "broker_client_underruns", "Times that sound broke off, as clients report it.", registry=DECLARED
)
RECONNECTS = Counter(
    "broker_client_reconnects", "Connections taken up again, as clients report it.", registry=DECLARED
)
LOG_LINES_LOST = Counter(
    "broker_log_lines_lost",
    "Log lines that were not written, because their reader stopped or their disk is full.",
    registry=DECLARED,
)


for _kind in OWNER_KINDS:  # Prometheus would not see the first increase of a series that begins with it
    for _threshold in ("50", "80", "100"):
        BUDGET_THRESHOLDS.labels(_kind, _threshold)


def count_report(before: Mapping[str, int], report: Mapping[str, int]) -> None:
    """Counts what a client's report adds to the one before it.

    Each report covers the whole session so far.
    """
    if "first_audio_ms" in report and "first_audio_ms" not in before:
        FIRST_AUDIO_SECONDS.observe(report["first_audio_ms"] / 1000)
    for name, counter in (("underruns", UNDERRUNS), ("reconnects", RECONNECTS)):
        counter.inc(max(0, report.get(name, 0) - before.get(name, 0)))


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Observes how long the block takes, also when it raises."""
    started = perf_counter()
    try:
        yield
    finally:
        histogram.observe(perf_counter() - started)
