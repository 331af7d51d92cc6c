"""`broker check`: can this installation mint tokens? Every step is real and reports its result."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from broker.app import load_settings
from broker.errors import Refusal
from broker.identity.issuers import fetch
from broker.limits.limiter import create_rates
from broker.minting.gemini import GeminiMinter
from broker.settings import IssuerSpec, Settings
from broker.store.database.engine import Database
from broker.store.ledger.rates import rate_storage
from broker.store.readiness import prove_countable, prove_writable
from broker.telemetry import clocks
from broker.telemetry.log import redact

Say = Callable[[str], None]


def run(say: Say) -> bool:
    """Returns whether every step succeeded. Invalid settings raise SettingsError before the first step."""
    settings = load_settings()
    say("ok    settings")
    for warning in settings.warnings:
        say(f"WARN  {warning}")
    done = [_step(say, "store", lambda: _store(settings)), *_issuers(say, settings), *_mints(say, settings)]
    _clocks(say)
    return all(done)


def _store(settings: Settings) -> str:
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
        rates = create_rates(rate_storage(database, redis_url))
        prove_writable(database)
        prove_countable(rates)
        return "schema current, takes writes" + (", Redis counts" if redis_url else "")
    finally:
        database.dispose()


def _issuers(say: Say, settings: Settings) -> list[bool]:
    """Fetch the keys of each issuer, as a worker does."""

    def keys(spec: IssuerSpec) -> str:
        try:
            return f"{len(fetch.load(spec))} usable keys"
        except Exception as error:
            raise Refusal("keys-unavailable", reason=f"{type(error).__name__}: {error}") from error

    return [_step(say, f"issuer {spec.name}", partial(keys, spec)) for spec in settings.config.issuers]


def _mints(say: Say, settings: Settings) -> list[bool]:
    """Mint one real token per profile. It expires after a minute."""
    profiles = settings.config.profiles
    minter = GeminiMinter(
        api_key=settings.gemini_api_key.get_secret_value(),
        base_url=settings.live_url,
        profiles=profiles.values(),
        max_concurrent=1,
    )

    def mint(name: str) -> str:
        token_plan = minter.token_plan(profiles[name])
        end = datetime.now(UTC) + timedelta(minutes=1)
        minter.mint(profiles[name], token_plan, expires_at=end, connect_by=end)
        return token_plan.model

    try:
        return [_step(say, f"mint {name}", lambda name=name: mint(name)) for name in profiles]  # type: ignore[misc]
    finally:
        minter.close()


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
