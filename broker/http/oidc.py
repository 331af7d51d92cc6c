"""Browser sign-in with an external issuer: to its sign-in page, and back.

Only these two routes answer with a redirect: to the issuer's authorization endpoint, or to one of our pages.
If the sign-in fails, the page gets one of a few codes in its address, never the provider's own words.
"""

from __future__ import annotations

from urllib.parse import quote

import structlog
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import NotFound

from broker.errors import Refusal
from broker.http import cookies, guards
from broker.http.client_address import client_address, requested_host
from broker.http.guests import end_guest
from broker.http.responses import operation
from broker.identity.oidc.client import OidcClient
from broker.identity.oidc.errors import Outcome, SignInFailed
from broker.identity.oidc.flow import LIFETIME_SECONDS, Flow, flow_id
from broker.net import canonical
from broker.parts import parts

bp = Blueprint("oidc", __name__)
_log = structlog.get_logger("broker.http")

RETURN_PATHS = frozenset({"/", "/ops"})
# A browser sends its cookies with every request, so the cookies of abandoned sign-ins must stay few.
MAX_FLOWS = 4
# Longer than a flow lives, so that a used flow never works again.
ONCE = "1/15 minutes"
FAILURES_PER_ADDRESS = "20/minute; 100/hour"
# The page explains these refusals to the user. All others are answered as problem bodies.
_SHOWN_ON_PAGE = {"account-blocked", "login-throttled"}


@bp.get("/auth/oidc/<issuer>")
@guards.public
@operation(
    "Redirect the browser to an issuer's sign-in page",
    status=303,
    codes=("not-found", "bad-request", "origin-forbidden", "keys-unavailable"),
)
def begin(issuer: str) -> Response:
    client = _client(issuer)
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        # Otherwise a foreign page could replace the user's sign-in with another one.
        raise Refusal("origin-forbidden", "Start the sign-in from the broker's own page.")
    flow = parts().flows.begin(issuer, _return_path())
    try:
        address = client.authorization_url(flow, _callback_address(issuer))
    except SignInFailed as failed:
        return _back(flow.return_to, _logged_outcome(issuer, failed))
    for name in _flow_cookies()[MAX_FLOWS - 1 :]:
        cookies.delete_cookie(name)
    cookies.set_cookie(_flow_cookie(flow.id), flow.cookie, LIFETIME_SECONDS)
    return _redirect(address)


@bp.get("/auth/oidc/<issuer>/callback")
@guards.public
@operation(
    "Redirect the browser back to the page, whether the sign-in succeeded or failed",
    status=303,
    codes=("not-found",),
)
def callback(issuer: str) -> Response:
    client = _client(issuer)
    flow = _own_flow(issuer)
    if flow is None:
        return _back("/", _logged_outcome(issuer, SignInFailed(Outcome.EXPIRED, "no flow of this browser")))
    try:
        _use_up(flow)
        response = _sign_in(client, flow)
    except SignInFailed as failed:
        response = _back(flow.return_to, _logged_outcome(issuer, failed))
    except Refusal as refusal:
        if refusal.code not in _SHOWN_ON_PAGE and refusal.status != 401:
            raise
        g.refusal = refusal
        is_shown = refusal.code in _SHOWN_ON_PAGE
        response = _back(flow.return_to, refusal.code if is_shown else Outcome.UNKNOWN.value)
    cookies.delete_cookie(_flow_cookie(flow.id))
    return response


def _sign_in(client: OidcClient, flow: Flow) -> Response:
    address = client_address(request)
    if parts().rates.exhausted(FAILURES_PER_ADDRESS, "oidc-failures", address):
        raise Refusal("login-throttled")
    if any(len(request.args.getlist(name)) > 1 for name in request.args):
        raise SignInFailed(Outcome.UNKNOWN, "a parameter appears twice")
    try:
        verified = client.finish(flow, request.args.to_dict(), _callback_address(client.name))
        principal = parts().admission.admit(verified)
    except (SignInFailed, Refusal) as failure:
        _record(failure, address)
        raise
    g.principal = principal
    sign_in = parts().sign_ins.open(principal, lifetime=client.lifetime)
    replaced = cookies.own_cookie(request)
    if replaced is not None:
        parts().sign_ins.close(replaced)
        end_guest(replaced)
    cookies.keep_sign_in(sign_in.cookie, client.lifetime)
    return _redirect(flow.return_to)


def _record(failure: SignInFailed | Refusal, address: str) -> None:
    """Count a failure and record it. An outage of the provider does not count against the caller."""
    code = failure.code if isinstance(failure, Refusal) else failure.outcome.value
    if code in {Outcome.UNAVAILABLE, Outcome.CANCELLED} or (
        isinstance(failure, Refusal) and code not in _SHOWN_ON_PAGE
    ):
        return
    try:
        parts().rates.spend(FAILURES_PER_ADDRESS, "oidc-failures", address)
    except Refusal as refusal:
        if refusal.code != "rate-limited":
            raise
    parts().sign_ins.refused(None, address, code)


def _client(issuer: str) -> OidcClient:
    clients = parts().oidc_clients
    if issuer not in clients:
        raise NotFound
    return clients[issuer]


def _return_path() -> str:
    """Compare the whole value with the list. Nothing is parsed, so nothing can be parsed in two ways."""
    given = request.args.getlist("return_to") or ["/"]
    if len(given) != 1 or given[0] not in RETURN_PATHS:
        raise Refusal("bad-request", "return_to must be one of the broker's own pages.")
    return given[0]


def _callback_address(issuer: str) -> str:
    """Plain http on loopback only. Elsewhere a proxy may end TLS, and the cookies need https anyway."""
    scheme = request.scheme if cookies.is_loopback(request) else "https"
    host = canonical.netloc(requested_host(request), scheme)
    if host is None:
        raise Refusal("bad-request", "Unrecognized Host header.", reason="the Host header is malformed")
    return f"{scheme}://{host}/auth/oidc/{issuer}/callback"


def _own_flow(issuer: str) -> Flow | None:
    """The flow that this browser started with this issuer, found by the returned state."""
    cookie = request.cookies.get(_flow_cookie(flow_id(request.args.get("state", ""))))
    flow = parts().flows.open(cookie) if cookie is not None else None
    return flow if flow is not None and flow.issuer == issuer else None


def _use_up(flow: Flow) -> None:
    """The shared counters decide: if two callbacks use one flow, only one of them succeeds."""
    rates = parts().rates
    try:
        rates.spend(ONCE, "oidc-flow", flow.id)
    except Refusal as refusal:
        if refusal.code != "rate-limited":
            raise
        raise SignInFailed(Outcome.EXPIRED, "the flow was used before") from refusal


def _flow_cookie(flow: str) -> str:
    return f"{cookies.base_name(request)}-flow-{flow}"


def _flow_cookies() -> list[str]:
    """The cookies of this browser's flows, newest first, without expired flows and those of other brokers."""
    prefix = _flow_cookie("")
    named = [(name, value) for name, value in request.cookies.items() if name.startswith(prefix)]
    ages = {name: flow.expires_at for name, value in named if (flow := parts().flows.open(value))}
    return sorted(ages, key=lambda name: -ages[name])


def _logged_outcome(issuer: str, failed: SignInFailed) -> str:
    _log.info("oidc_sign_in_failed", oidc_issuer=issuer, outcome=failed.outcome.value, reason=failed.reason)
    return failed.outcome.value


def _back(path: str, code: str) -> Response:
    return _redirect(f"{path}?sign-in={quote(code)}")


def _redirect(address: str) -> Response:
    """Without a body: the framework's own body repeats the address, which holds the state."""
    return Response(status=303, headers={"Location": address})
