"""The demo page, the operators' page, the client library's files, and the headers that keep both harmless."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, render_template, request
from werkzeug.exceptions import NotFound

from broker.http import guards
from broker.http.assets import MIMETYPES, Assets, Encoded, encoded_page
from broker.http.credentials import cookie_name

_PACKAGE = Path(__file__).resolve().parent.parent
# In a checkout the pages lie beside the package; in an installed wheel inside it.
WEB = next(path for path in (_PACKAGE / "_web", _PACKAGE.parent / "web") if path.is_dir())
ASSETS = Assets(WEB)
# What the library starts by itself: the browser cannot know from the page's own imports.
_WORKER = "live/network/network-worker.js"
_STARTED = (_WORKER, "live/audio/worklets/capture-processor.js", "live/audio/worklets/playback-processor.js")
_FOLDERS = "any(live, demo, ops, docs, common)"
_YEAR = "max-age=31536000, immutable"
# The document's policy holds for these; that they are taken for what they say is all that counts.
_PARTS_OF_DOCUMENTS = (".js", ".css")
_CLOSED = "default-src 'none'; frame-ancestors 'none'"
_OF_DOCUMENTS = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(self), display-capture=(self), "
    "screen-wake-lock=(self), speaker-selection=(self)",
}

bp = Blueprint("pages", __name__, template_folder=str(WEB))


@bp.get("/")
@guards.public
def demo() -> Response:
    """With what the page need not ask: whether a cookie is here at all, and where one can sign in."""
    parts = current_app.extensions["broker"]
    return page_response(
        "demo/index.html",
        modules=ASSETS.modules(("demo/main.js", *_STARTED)),
        standin=parts.settings.standin,
        guests=parts.guests is not None and parts.guests.reaches(request),
        has_cookie=cookie_name(request) in request.cookies,
        sign_in_with=parts.oidc_clients.values(),
    )


@bp.get("/docs")
@guards.public
def docs() -> Response:
    return page_response("docs/index.html", modules=ASSETS.modules(("docs/main.js",)))


@bp.get("/ops")
@guards.public
def ops() -> Response:
    """The same empty page for everybody: what stands on it, the admin API says, to operators only."""
    return page_response(
        "ops/index.html",
        modules=ASSETS.modules(("ops/main.js",)),
        has_cookie=cookie_name(request) in request.cookies,
    )


def page_response(template: str, *, modules: list[str], **context: object) -> Response:
    """A page whose files have addresses of their content; `modules` are those that it is to load at once."""
    html = render_template(template, assets=f"/assets/{ASSETS.version}", modules=modules, **context)
    response = _in_best_form(encoded_page(html), "text/html")
    # Never from a cache, the one of the Back button included: it would be of before the sign-in.
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("Cookie")
    return response


@bp.get(f"/<{_FOLDERS}:part>/<path:name>")
@guards.public
def asset(part: str, name: str) -> Response:
    return _file(f"{part}/{name}", "no-cache")


@bp.get(f"/assets/<version>/<{_FOLDERS}:part>/<path:name>")
@guards.public
def versioned_asset(version: str, part: str, name: str) -> Response:
    # To a page of before an update, or of a host that has it already, we give what we have: not to be kept.
    return _file(f"{part}/{name}", _YEAR if version == ASSETS.version else "no-cache")


@bp.get("/favicon.ico")
@guards.public
def favicon() -> Response:
    return asset("common", "icon.svg")


def _file(path: str, cache_control: str) -> Response:
    found = ASSETS.find(path)
    if found is None:
        raise NotFound
    response = _in_best_form(found, MIMETYPES[Path(path).suffix])
    response.headers["Cache-Control"] = cache_control
    # Whole files only: a range that does not fit would be an error of its own.
    request.environ.pop("HTTP_RANGE", None)
    response.make_conditional(request)
    if cache_control == _YEAR:
        # Fifty files a page: what nobody asks for again needs no tag, and modules are UTF-8 by definition.
        del response.headers["ETag"]
        if path.endswith(".js"):
            response.headers["Content-Type"] = MIMETYPES[".js"]
    return response


def _in_best_form(content: Encoded, mimetype: str) -> Response:
    """As the client takes it; each form has an ETag of its own, for they are different bytes."""
    if not content.compressible:
        response = Response(content.identity, mimetype=mimetype)
        response.set_etag(content.etag)
        return response
    accepted = request.accept_encodings
    form = next((form for form in ("br", "gzip") if accepted[form] > 0), "identity")
    response = Response(getattr(content, form), mimetype=mimetype)
    response.set_etag(f"{content.etag}-{form}")
    response.vary.add("Accept-Encoding")
    if form != "identity":
        response.headers["Content-Encoding"] = form
    return response


def security_headers(response: Response, live_url: str, *, secure: bool) -> None:
    """On every answer. A worker takes the policy of its own response, so those files carry one.

    Other scripts and the style sheets, of which a page has dozens, go without what only a document heeds: it
    would outweigh them.
    """
    headers = response.headers
    headers["X-Content-Type-Options"] = "nosniff"
    if secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    of_ours = request.blueprint == "pages" and response.status_code < 400
    if of_ours and request.path.endswith(_PARTS_OF_DOCUMENTS) and not request.path.endswith("-worker.js"):
        return
    if of_ours and request.path.endswith(_WORKER):
        headers["Content-Security-Policy"] = _worker_policy(live_url)
    elif of_ours and response.mimetype == "text/html":
        # The operators' page talks to nobody but us.
        alone = request.endpoint == "pages.ops"
        headers["Content-Security-Policy"] = _page_policy("'self'" if alone else _with_live(live_url))
    headers.setdefault("Content-Security-Policy", _CLOSED)
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if not (of_ours and response.mimetype != "text/html"):
        headers.update(_OF_DOCUMENTS)
    if "Cache-Control" not in headers:  # the files and the key set say themselves how long they may be kept
        headers["Cache-Control"] = "no-store"
        response.vary.update(("Origin", "Authorization", "Cookie"))


def _with_live(live_url: str) -> str:
    parts = urlsplit(live_url)
    return f"'self' {'ws' if parts.scheme == 'http' else 'wss'}://{parts.netloc}"


def _worker_policy(live_url: str) -> str:
    return (
        f"default-src 'none'; script-src 'self'; connect-src {_with_live(live_url)}; "
        "require-trusted-types-for 'script'"
    )


def _page_policy(connects_to: str) -> str:
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"media-src 'self' blob:; font-src 'self'; connect-src {connects_to}; worker-src 'self'; "
        "manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types live-broker"
    )
