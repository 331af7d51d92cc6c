"""Parts: everything that `create_app` builds and the views use, with one typed accessor.

Leaves the wiring to `app` and knows nothing of HTTP requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, current_app

from broker.idempotency.replay import Replays
from broker.identity.bearer import Bearers
from broker.identity.blocks import Admission
from broker.identity.guests import Guests
from broker.identity.login import Login
from broker.identity.oidc.client import OidcClient
from broker.identity.oidc.flow import Flows
from broker.identity.service_keys import ServiceKeys
from broker.identity.sign_ins import CookieSignIns
from broker.identity.signing import KeyRing
from broker.issuing.dry_run import DryRuns
from broker.issuing.end import SessionEnder
from broker.issuing.issue import TokenIssuer
from broker.issuing.owners import SessionOwners
from broker.issuing.request import Issued, TokenRequest
from broker.limits.limiter import Rates
from broker.limits.sign_in_throttle import SignInThrottle
from broker.minting.minter import Minter
from broker.minting.upstream import StandInProbe
from broker.net.proxies import Proxies
from broker.profiles.catalog import Catalog
from broker.sessions.session import Ledger
from broker.sessions.suspension import Suspensions
from broker.settings import PriceList, Settings
from broker.store.database.engine import Database
from broker.store.ledger.client_reports import SqlReports
from broker.store.ledger.usage_sums import UsageSums
from broker.store.readiness import Readiness
from broker.store.reporting.budgets import SqlBudgets
from broker.store.reporting.usage import SqlUsage
from broker.telemetry.store_gauge import StoreGauge

_EXTENSION = "broker"


@dataclass(frozen=True)
class Parts:
    """Everything the views work with. `create_app` builds it once per process."""

    settings: Settings
    proxies: Proxies
    database: Database
    readiness: Readiness
    bearers: Bearers
    service_keys: ServiceKeys
    sign_ins: CookieSignIns
    admission: Admission
    login: Login
    guests: Guests | None
    sign_in_throttle: SignInThrottle
    cookie_marks: tuple[str, ...]
    """Ends of the cookies that this broker sets, the current one first; see `http.cookies`."""
    keys: KeyRing
    oidc_clients: Mapping[str, OidcClient]
    flows: Flows
    rates: Rates
    catalog: Catalog
    ledger: Ledger
    reports: SqlReports
    usage: SqlUsage
    usage_sums: UsageSums
    budgets: SqlBudgets
    prices: PriceList
    store_gauges: tuple[StoreGauge, ...]
    suspensions: Suspensions
    minter: Minter
    issuer: TokenIssuer
    owners: SessionOwners
    ender: SessionEnder
    replays: Replays[TokenRequest, Issued]
    previews: DryRuns
    talks_to_standin: StandInProbe
    trusted_issuers: frozenset[str]
    """Issuers whose browser sign-ins are accepted."""
    plans_of_issuers: Mapping[str, frozenset[str]]
    """External issuer -> the plans that its entry may give."""
    operator_issuers: frozenset[str]
    """Issuers that may name operators."""
    demo_sign_in: tuple[str, str] | None = None
    """Username and password for "Continue as demo". Only `broker dev` sets it."""


def install(app: Flask, parts: Parts) -> None:
    app.extensions[_EXTENSION] = parts


def parts() -> Parts:
    """The parts of the app that handles the current request."""
    return parts_of(current_app)


def parts_of(app: Flask) -> Parts:
    found = app.extensions[_EXTENSION]
    assert isinstance(found, Parts)
    return found
