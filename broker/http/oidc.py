"""Sign in in the browser with an external issuer: to its sign-in page, and back from it.

The only two routes that answer with a redirect. What went wrong is told by the page that the browser comes
back to, as one of a few codes in its address; never in the provider's words. Where a redirect may lead is
fixed: to the issuer's authorization endpoint, or to one of our own pages.
"""

from __future__ import annotations

from urllib.parse import quote

import structlog
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import NotFound

from broker.errors import Refusal
from broker.http import guards
from broker.http.client_address import client_address
from broker.http.credentials import cookie_name, is_loopback
from broker.http.login import keep_cookie
from broker.identity.oidc.client import OidcClient
from broker.identity.oidc.errors import Outcome, SignInFailed
from broker.identity.oidc.flow import LIFETIME_SECONDS, Flow, Flows, flow_id
from broker.identity.sign_ins import LIFETIME
from broker.limits.limiter import Rates
from broker.parts import parts

bp = Blueprint("oidc", __name__)
_log = structlog.get_logger("broker.http")

RETURN_PATHS = frozenset({"/", "/ops"})
# A browser sends its cookies with every request, so those of sign-ins that were begun and left must stay few.
MAX_FLOWS = 4
# Longer than a flow lives: a flow that has been used is used for good.
ONCE = "1/15 minutes"
FAILURES_PER_ADDRESS = "20/minute; 100/hour"
# Refusals that a person can be told about on the page; all others are answered as what they are.
_TOLD = {"account-blocked", "login-throttled"}


@bp.get("/auth/oidc/<issuer>")
@guards.public
def begin(issuer: str) -> Response:
    client = _client(issuer)
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        # A page elsewhere could otherwise put another sign-in in the place of the one that is there.
        raise Refusal("origin-forbidden", "A sign-in begins at our own page.")
    flow = _flows().begin(issuer, _return_path())
    try:
        address = client.authorization_url(flow, _callback_address(issuer))
    except SignInFailed as failed:
        return _back(flow.return_to, _to_json(issuer, failed))
    response = _redirect(address)
    for name in _flow_cookies()[MAX_FLOWS - 1 :]:
        _forget(response, name)
    response.set_cookie(
        _cookie_of(flow.id),
        flow.cookie,
        max_age=LIFETIME_SECONDS,
        secure=not is_loopback(request),
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


@bp.get("/auth/oidc/<issuer>/callback")
@guards.public
def callback(issuer: str) -> Response:
    client = _client(issuer)
    flow = _own_flow(issuer)
    if flow is None:
        return _back("/", _to_json(issuer, SignInFailed(Outcome.EXPIRED, "no flow of this browser")))
    try:
        _use_up(flow)
        response = _sign_in(client, flow)
    except SignInFailed as failed:
        response = _back(flow.return_to, _to_json(issuer, failed))
    except Refusal as refusal:
        if refusal.code not in _TOLD and refusal.status != 401:
            raise
        g.refusal = refusal
        told = refusal.code if refusal.code in _TOLD else Outcome.UNKNOWN.value
        response = _back(flow.return_to, told)
    _forget(response, _cookie_of(flow.id))
    return response


def _sign_in(client: OidcClient, flow: Flow) -> Response:
    rates: Rates = parts().rates
    address = client_address(request, parts().settings.trusted_proxies)
    if rates.exhausted(FAILURES_PER_ADDRESS, "oidc-failures", address):
        raise Refusal("login-throttled")
    if any(len(request.args.getlist(name)) > 1 for name in request.args):
        raise SignInFailed(Outcome.UNKNOWN, "a parameter twice")
    try:
        verified = client.finish(flow, request.args.to_dict(), _callback_address(client.name))
        principal = parts().admission.admit(verified)
    except (SignInFailed, Refusal) as failure:
        _record(failure, address)
        raise
    g.principal = principal
    response = _redirect(flow.return_to)
    keep_cookie(response, parts().sign_ins.open(principal).cookie, LIFETIME)
    replaced = request.cookies.get(cookie_name(request))
    if replaced is not None:
        parts().sign_ins.close(replaced)
    return response


def _record(failure: SignInFailed | Refusal, address: str) -> None:
    """Count a failure and write it down. That a provider is out of order is not the caller's."""
    code = failure.code if isinstance(failure, Refusal) else failure.outcome.value
    if code in {Outcome.UNAVAILABLE, Outcome.CANCELLED} or (
        isinstance(failure, Refusal) and code not in _TOLD
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


def _flows() -> Flows:
    return parts().flows


def _return_path() -> str:
    """Compared whole with the list: nothing is parsed, so nothing can be parsed in two ways."""
    given = request.args.getlist("return_to") or ["/"]
    if len(given) != 1 or given[0] not in RETURN_PATHS:
        raise Refusal("bad-request", "return_to must be one of our own pages.")
    return given[0]


def _callback_address(issuer: str) -> str:
    """Plain http on loopback only: elsewhere TLS ends at a proxy, and the cookies need it anyway."""
    scheme = request.scheme if is_loopback(request) else "https"
    return f"{scheme}://{request.host}/auth/oidc/{issuer}/callback"


def _own_flow(issuer: str) -> Flow | None:
    """The flow that this very browser began with this very issuer, by the state that came back."""
    cookie = request.cookies.get(_cookie_of(flow_id(request.args.get("state", ""))))
    flow = _flows().open(cookie) if cookie is not None else None
    return flow if flow is not None and flow.issuer == issuer else None


def _use_up(flow: Flow) -> None:
    """Counted where all workers see it: of two callbacks with one flow, one gets on."""
    rates = parts().rates
    try:
        rates.spend(ONCE, "oidc-flow", flow.id)
    except Refusal as refusal:
        if refusal.code != "rate-limited":
            raise
        raise SignInFailed(Outcome.EXPIRED, "the flow was used before") from refusal


def _cookie_of(flow: str) -> str:
    return f"{cookie_name(request)}-flow-{flow}"


def _flow_cookies() -> list[str]:
    """This browser's open flows, the newest first; what is over or not ours comes last."""
    prefix = _cookie_of("")
    named = [(name, value) for name, value in request.cookies.items() if name.startswith(prefix)]
    ages = {name: flow.expires_at if (flow := _flows().open(value)) else 0 for name, value in named}
    return sorted(ages, key=lambda name: -ages[name])


def _to_json(issuer: str, failed: SignInFailed) -> str:
    _log.info("oidc_sign_in_failed", oidc_issuer=issuer, outcome=failed.outcome.value, reason=failed.reason)
    return failed.outcome.value


def _back(path: str, code: str) -> Response:
    return _redirect(f"{path}?sign-in={quote(code)}")


def _redirect(address: str) -> Response:
    """Without a body: the one of the framework repeats the address, and with it the state."""
    return Response(status=303, headers={"Location": address})


def _forget(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=not is_loopback(request), httponly=True, samesite="Lax")
