"""`broker check`: can this installation mint tokens? Every step is real and reports its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from broker.app import load_settings
from broker.cli import trial
from broker.errors import Refusal
from broker.identity.issuers import fetch
from broker.limits.limiter import create_rates
from broker.settings import IssuerSpec, Settings
from broker.settings.store_urls import shown
from broker.store.database.engine import Database
from broker.store.ledger.rates import rate_storage
from broker.store.readiness import prove_countable, prove_writable
from broker.telemetry import clocks
from broker.telemetry.log import redact

Say = Callable[[str], None]


def run(say: Say, environ: Mapping[str, str] | None = None) -> bool:
    """Returns whether every step succeeded. Invalid settings raise SettingsError before the first step."""
    settings = load_settings(environ)
    say("ok    settings")
    for warning in settings.warnings:
        say(f"WARN  {warning}")
    done = [*_stores(say, settings), *_issuers(say, settings), *_mints(say, settings)]
    _clocks(say)
    return all(done)


def _stores(say: Say, settings: Settings) -> list[bool]:
    database_url = settings.database_url.get_secret_value()
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    database = Database(database_url, pool_size=1)

    def store() -> str:
        prove_writable(database)
        if redis_url is None:
            prove_countable(create_rates(rate_storage(database, None)))
        return "schema current, takes writes"

    def redis() -> str:
        prove_countable(create_rates(rate_storage(database, redis_url)))
        return "counts"

    try:
        steps = [_step(say, f"store at {shown(database_url)}", store)]
        if redis_url is not None:
            steps.append(_step(say, f"Redis at {shown(redis_url)}", redis))
        return steps
    finally:
        database.dispose()


def _issuers(say: Say, settings: Settings) -> list[bool]:
    """Fetch the keys of each issuer, as a worker does."""

    def keys(spec: IssuerSpec) -> str:
        try:
            return f"{len(fetch.load(spec))} usable keys"
        except Exception as error:
            raise Refusal("keys-unavailable", reason=f"{type(error).__name__}: {error}") from error

    return [
        _step(say, f"issuer {spec.name} at {spec.jwks_url or spec.issuer}", partial(keys, spec))
        for spec in settings.config.issuers
    ]


def _mints(say: Say, settings: Settings) -> list[bool]:
    """Mint one real token per profile."""
    with trial.minter_of(settings) as minter:
        return [
            _step(say, f"mint {name} at {settings.live_url}", partial(trial.mint, settings, minter, name))
            for name in settings.config.profiles
        ]


def _clocks(say: Say) -> None:
    """Reports the clocks that earlier steps compared. If one prevents a mint, that step has failed."""
    differences = clocks.differences()
    for difference in differences:
        say(f"WARN  {difference}: synchronize the clocks (NTP)")
    if not differences and clocks.GOOGLE.ahead_seconds is not None:
        say("ok    clocks: synchronized")


def _step(say: Say, name: str, attempt: Callable[[], str]) -> bool:
    try:
        say(f"ok    {name}: {attempt()}")
    except Refusal as refusal:
        reason = f" ({refusal.reason})" if refusal.reason else ""
        say(redact(f"FAIL  {name}: {refusal.code}: {refusal.detail or refusal.title}{reason}"))
        return False
    return True
