"""The demo page, the client library's files, and the headers that keep both harmless."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, render_template, request, send_from_directory
from werkzeug.exceptions import NotFound

from broker.http import guards
from broker.http.credentials import cookie_name

_PACKAGE = Path(__file__).resolve().parent.parent
# In a checkout the pages lie beside the package; in an installed wheel inside it.
WEB = next(path for path in (_PACKAGE / "_web", _PACKAGE.parent / "web") if path.is_dir())
_SERVED = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}

bp = Blueprint("pages", __name__, template_folder=str(WEB))


@bp.get("/")
@guards.public
def demo() -> Response:
    """With what the page need not ask: whether a cookie is here at all, and where one can sign in."""
    parts = current_app.extensions["broker"]
    page = render_template(
        "demo/index.html",
        standin=parts.settings.standin,
        guests=parts.guests is not None and parts.guests.reaches(request),
        has_cookie=cookie_name(request) in request.cookies,
        sign_in_with=parts.oidc_clients.values(),
    )
    # Never from a cache, the one of the Back button included: it would be of before the sign-in.
    return Response(page, mimetype="text/html", headers={"Cache-Control": "no-store", "Vary": "Cookie"})


@bp.get("/<any(live, demo, ops, shared):part>/<path:name>")
@guards.public
def asset(part: str, name: str) -> Response:
    mimetype = _SERVED.get(Path(name).suffix)
    if mimetype is None:
        raise NotFound
    # Whole files only: a range that does not fit would be an error of its own.
    request.environ.pop("HTTP_RANGE", None)
    return send_from_directory(WEB / part, name, mimetype=mimetype, max_age=None)


@bp.get("/favicon.ico")
@guards.public
def favicon() -> Response:
    return asset("shared", "icon.svg")


def security_headers(response: Response, live_url: str, *, secure: bool) -> None:
    """On every answer. Scripts and workers take the policy of their own response, so files carry it too."""
    is_page = request.blueprint == "pages" and response.status_code < 400
    policy = _page_policy(live_url) if is_page else "default-src 'none'; frame-ancestors 'none'"
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.update(
        {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "microphone=(self), screen-wake-lock=(self), speaker-selection=(self)",
        }
    )
    if secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if is_page:
        response.headers.setdefault("Cache-Control", "no-cache")
    elif "Cache-Control" not in response.headers:  # only the key set says that it may be kept
        response.headers["Cache-Control"] = "no-store"
        response.vary.update(("Origin", "Authorization", "Cookie"))


def _page_policy(live_url: str) -> str:
    parts = urlsplit(live_url)
    socket = f"{'ws' if parts.scheme == 'http' else 'wss'}://{parts.netloc}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"media-src 'self' blob:; font-src 'self'; connect-src 'self' {socket}; worker-src 'self'; "
        "manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types live-broker"
    )
