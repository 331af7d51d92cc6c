"""create_app: build the parts, wire them and mount the routes. It makes no decisions."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from flask import Flask

from broker import parts
from broker import settings as settings_module
from broker.http import (
    admin,
    body,
    draining,
    guards,
    health,
    jwks,
    login,
    me,
    metrics,
    oidc,
    openapi,
    pages,
    problems,
    request_log,
    sessions,
    tokens,
    tracing,
)
from broker.http.lanes import places_for_waiting
from broker.idempotency.encryption import TokenCipher
from broker.idempotency.replay import Replays
from broker.identity import issuers
from broker.identity.bearer import Bearers
from broker.identity.blocks import Admission
from broker.identity.guests import Guests
from broker.identity.login import Login
from broker.identity.oidc.factory import oidc_clients
from broker.identity.oidc.flow import Flows
from broker.identity.own_tokens import OwnTokens
from broker.identity.service_keys import PEPPER_LABEL, ServiceKeys
from broker.identity.sign_ins import CookieSignIns
from broker.identity.signing import KeyRing, derive
from broker.issuing.again import answer_again
from broker.issuing.dry_run import DryRuns
from broker.issuing.end import SessionEnder
from broker.issuing.issue import TokenIssuer
from broker.issuing.owners import SessionOwners
from broker.issuing.warm import FirstReservations
from broker.limits.budget import Calendar
from broker.limits.limiter import create_rates
from broker.limits.policy import Policy
from broker.limits.redis_failover import surviving_failover
from broker.limits.sign_in_throttle import SignInThrottle
from broker.minting.compile import profile_faults
from broker.minting.gemini import GeminiMinter
from broker.minting.minter import Minter
from broker.minting.upstream import StandInProbe
from broker.minting.warm import WarmTokens
from broker.net.proxies import Proxies
from broker.parts import Parts
from broker.principal import OWN_ISSUER
from broker.profiles.catalog import Catalog
from broker.sessions.suspension import is_suspended
from broker.settings import PriceList, Settings, in_force, store_urls
from broker.settings.variables import traces_wanted
from broker.store.accounts.service_keys import SqlServiceKeys
from broker.store.accounts.sign_ins import SqlSignIns
from broker.store.accounts.standing import SqlStanding
from broker.store.accounts.users import SqlUsers
from broker.store.audit import RefusalLog
from broker.store.database.engine import Clock, Database, Kind
from broker.store.ledger.client_reports import SqlReports
from broker.store.ledger.idempotency import SqlIdempotencyRecords
from broker.store.ledger.ledger import SqlLedger
from broker.store.ledger.rates import rate_storage
from broker.store.ledger.spending import Spending
from broker.store.ledger.suspension import SqlSuspensions
from broker.store.ledger.usage_sums import UsageSums
from broker.store.readiness import Readiness
from broker.store.reporting.budgets import SqlBudgets
from broker.store.reporting.totals import SqlTotals
from broker.store.reporting.usage import SqlUsage
from broker.telemetry import log, traces
from broker.telemetry.metrics import STORE_SECONDS, timed
from broker.telemetry.store_gauge import StoreGauge

# With a stand-in, this is development: a host name that someone points at this machine is not ours.
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
_STORE_SECONDS = {kind: STORE_SECONDS.labels(kind) for kind in ("read", "write")}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a server, with the profiles checked against the SDK. Raises SettingsError."""
    return settings_module.load(environ, checks=[profile_faults])


def create_app(
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    minter: Minter | None = None,
    demo_sign_in: tuple[str, str] | None = None,
) -> Flask:
    """The WSGI app. Create it after the fork: it opens connections. `clock` and `minter` are for tests.

    `demo_sign_in` is a username and its password for the page's button "Continue as demo". It is an argument
    and no setting, so that only `broker dev` can pass it, and no environment of a server can.

    Uses `settings`, or those that the server's master keeps in force, or those of the environment.
    """
    settings = settings or in_force.kept() or load_settings()
    log.configure(settings.log_level, secrets=_secrets(settings))
    app = Flask("broker", static_folder=None, template_folder=str(pages.WEB))
    app.json.sort_keys = False  # type: ignore[attr-defined]  # for people who read it: the token comes first
    app.config.update(MAX_CONTENT_LENGTH=body.MAX_BYTES + 1)
    app.url_map.strict_slashes = False  # an API never answers with a redirect
    app.url_map.merge_slashes = False
    parts.install(app, replace(_build(settings, clock, minter), demo_sign_in=demo_sign_in))
    allowed_origins = frozenset(settings.allowed_origins)
    tracing.install(app, wanted=traces_wanted())
    request_log.install(app, allowed_origins, settings.live_url)
    draining.install(app)
    guards.install(
        app, allowed_origins, settings.trusted_hosts or (LOOPBACK_HOSTS if settings.standin else ())
    )
    problems.register(app)
    mount(app)
    return app


@contextmanager
def _timed(kind: Kind) -> Iterator[None]:
    with timed(_STORE_SECONDS[kind]), traces.span(f"store {kind}"):
        yield


def mount(app: Flask) -> None:
    """Add every route, in the order in which /openapi.json lists them."""
    for module in (tokens, sessions, me, login, oidc, admin, health, metrics, jwks, openapi, pages):
        app.register_blueprint(module.bp)


def _build(settings: Settings, clock: Clock | None, minter: Minter | None) -> Parts:
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    catalog = Catalog(settings.config.profiles.values())
    if minter is None:
        minter = GeminiMinter(
            api_key=settings.gemini_api_key.get_secret_value(),
            base_url=settings.live_url,
            profiles=settings.config.profiles.values(),
            # As many as lanes.py lets in, so that a caller waits in its queue and is not refused here.
            max_concurrent=places_for_waiting(settings.threads),
            most_ahead=_most_ahead(settings),
        )
        atexit.register(minter.close)
    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.threads + 2,
        most_connections=settings.database_connections,
        clock=clock,
        timed=_timed,
    )
    secrets = settings.secret_keys
    ring = KeyRing.of(secrets, *settings.signing_keys)
    sign_ins = CookieSignIns(
        SqlSignIns(database),
        csrf_keys=[derive(secret, "csrf") for secret in secrets],
        id_keys=[derive(secret, "sign-in") for secret in secrets],
    )
    admission = Admission(SqlStanding(database))
    peppers = [derive(secret, PEPPER_LABEL) for secret in secrets]
    service_keys = ServiceKeys(SqlServiceKeys(database), peppers)
    guest_keys = [derive(secret, "guests") for secret in secrets]
    guests = None
    if settings.config.guests.enabled:
        guests = Guests(settings.config.guests, guest_keys)
    rates = create_rates(surviving_failover(rate_storage(database, redis_url)))
    prices = PriceList(settings.config.prices)
    calendar = Calendar(settings.config.project.time_zone)
    spending = Spending(prices, calendar)
    ledger = SqlLedger(database, spending)
    suspensions = SqlSuspensions(database)
    policy = Policy(settings.config.plans, settings.config.project, settings.config.teams)
    usage_sums = UsageSums(database, prices)
    external = issuers.build(
        settings.config.issuers, settings.config.plans, RefusalLog(database), admission.admit
    )
    warm_tokens = WarmTokens(
        catalog.all(),
        minter,
        is_stopped=lambda profile: draining.DRAIN.has_begun or is_suspended(suspensions, profile),
        most_at_once=_most_ahead(settings),
    )
    issuer = TokenIssuer(
        policy=policy,
        rates=rates,
        catalog=catalog,
        attestations=external.attestations,
        minter=minter,
        first=FirstReservations(warm_tokens),
        ledger=ledger,
        suspensions=suspensions,
        admit=admission.admit_unpresented,
    )
    owners = SessionOwners(policy=policy, ledger=ledger, admit=admission.admit_unpresented)
    return Parts(
        settings=settings,
        proxies=Proxies(settings.trusted_proxies),
        database=database,
        readiness=Readiness(database, rates),
        bearers=Bearers([OwnTokens(ring.honoured), *external.verifiers]),
        service_keys=service_keys,
        trusted_issuers=frozenset(
            [
                OWN_ISSUER,
                *(
                    spec.issuer
                    for spec in settings.config.issuers
                    if (spec.kind, spec.mode) == ("oidc", "enforce")
                ),
            ]
        ),
        sign_ins=sign_ins,
        admission=admission,
        login=Login(SqlUsers(database), admission, sign_ins, ring.signs),
        guests=guests,
        sign_in_throttle=SignInThrottle(rates),
        cookie_marks=tuple(derive(secret, "cookie-mark").hex()[:8] for secret in secrets),
        keys=ring,
        oidc_clients=oidc_clients(settings, external.id_tokens),
        flows=Flows(derive(secrets[0], "oidc-flow")),
        rates=rates,
        catalog=catalog,
        ledger=ledger,
        reports=SqlReports(database, spending),
        usage=SqlUsage(database, prices),
        usage_sums=usage_sums,
        budgets=SqlBudgets(database, policy, calendar, prices.currency),
        prices=prices,
        store_gauges=(
            StoreGauge(
                "broker_open_sessions", "Sessions that hold a place now.", SqlTotals(database).open_sessions
            ),
            StoreGauge(
                "broker_minting_suspended",
                "1 while an operator has suspended new tokens, of all profiles or of some.",
                lambda: float(suspensions.current() is not None),
            ),
            StoreGauge(
                "broker_config_digest",
                "The digest of the broker.toml in force, as a number; servers that differ have others.",
                lambda: float(int(settings.config_digest, 16)),
            ),
        ),
        suspensions=suspensions,
        minter=minter,
        talks_to_standin=StandInProbe(settings.live_url, is_loopback=settings.standin),
        issuer=issuer,
        owners=owners,
        ender=SessionEnder(owners=owners, ledger=ledger, settle=usage_sums.settle_some),
        replays=Replays(
            open_session=issuer.open_session,
            answer_again=partial(answer_again, issuer),
            ledger=ledger,
            records=SqlIdempotencyRecords(database),
            cipher=TokenCipher([derive(secret, "repeats") for secret in secrets]),
            # The other threads still answer while repeats wait for their first request.
            max_waiting=max(1, settings.threads // 2),
        ),
        previews=DryRuns(policy=policy, rates=rates, catalog=catalog, ledger=ledger, suspensions=suspensions),
        plans_of_issuers={
            spec.issuer: frozenset(spec.plans.values() or settings.config.plans if spec.plan_claim else ())
            for spec in settings.config.issuers
            if spec.kind == "oidc"
        },
        operator_issuers=frozenset(
            [OWN_ISSUER, *(spec.issuer for spec in settings.config.issuers if spec.operator_claim)]
        ),
    )


def _most_ahead(settings: Settings) -> int:
    """How many tokens may be minted ahead at once, besides those that callers wait for."""
    return max(1, places_for_waiting(settings.threads) // 4)


def _secrets(settings: Settings) -> list[str]:
    """Exact texts that no log line may hold. A PEM is split into lines, since a log line is one line."""
    pem_lines = [line for pem in settings.signing_keys if pem for line in pem.splitlines() if "-" not in line]
    client_secrets = [secret.get_secret_value() for secret in settings.client_secrets.values()]
    urls = [url.get_secret_value() for url in (settings.database_url, settings.redis_url) if url]
    passwords = [password for url in urls for password in store_urls.password_of(url)]
    api_key = settings.gemini_api_key.get_secret_value()
    return [api_key, *settings.secret_keys, *pem_lines, *client_secrets, *passwords]
