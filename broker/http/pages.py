"""The demo page, the operators' page, the API reference, and the files that they load."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import NotFound

from broker.http import guards
from broker.http.assets import MIMETYPES, Assets, Encoded, PageFiles, encoded_page
from broker.http.client_address import is_from_this_machine
from broker.http.cookies import own_cookie
from broker.http.guests import guest_access
from broker.http.responses import operation
from broker.http.security_headers import NETWORK_WORKER
from broker.parts import parts

_PACKAGE = Path(__file__).resolve().parent.parent
# In a checkout the pages are beside the package, in an installed wheel inside it.
WEB = next(path for path in (_PACKAGE / "_web", _PACKAGE.parent / "web") if path.is_dir())
ASSETS = Assets(WEB)
# The library starts these itself, so the browser cannot find them through the imports of the page.
_STARTED = (
    NETWORK_WORKER,
    "live/audio/worklets/capture-processor.js",
    "live/audio/worklets/playback-processor.js",
)
_FOLDERS = "any(live, demo, ops, docs, common, bundle)"
_YEAR = "max-age=31536000, immutable"

bp = Blueprint("pages", __name__, template_folder=str(WEB))


@bp.get("/docs")
@guards.public
@operation("A page that shows this document", media="text/html")
def docs() -> Response:
    return page_response("docs", ASSETS.page("docs"))


@bp.get("/")
@guards.public
@operation("The demo page", media="text/html")
def demo() -> Response:
    """The template gets facts that save the page a request: whether a cookie exists, and the issuers."""
    guests = guest_access()
    return page_response(
        "demo",
        ASSETS.page("demo", _STARTED),
        standin=parts().talks_to_standin(),
        guests=guests is not None and guests.reaches(request),
        has_cookie=own_cookie(request) is not None,
        sign_in_with=parts().oidc_clients.values(),
        demo_sign_in=_demo_sign_in(),
    )


def _demo_sign_in() -> dict[str, str] | None:
    """The account of "Continue as demo": with the stand-in only, and for browsers on this machine only."""
    account = parts().demo_sign_in
    if account is None or not parts().settings.standin or not is_from_this_machine(request):
        return None
    username, password = account
    return {"username": username, "password": password}


@bp.get("/ops")
@guards.public
@operation("The operators' page", media="text/html")
def ops() -> Response:
    """The same empty page for every caller. Its data comes from the admin API, for operators only."""
    return page_response("ops", ASSETS.page("ops"), has_cookie=own_cookie(request) is not None)


def page_response(name: str, files: PageFiles, **context: object) -> Response:
    """A page whose files have addresses made from their content. It lists all files that it loads at once."""
    html = render_template(f"{name}/index.html", assets=f"/assets/{ASSETS.version}", files=files, **context)
    response = _in_best_form(encoded_page(html), "text/html")
    # Never from a cache, the cache of the Back button included: that copy could predate the sign-in.
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
    # During an update, pages and files of two versions meet. Serve our version, but do not let it be cached.
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
    # Serve whole files only, because a range that does not fit would be one more kind of error.
    request.environ.pop("HTTP_RANGE", None)
    response.make_conditional(request)
    if cache_control == _YEAR:
        # A page loads fifty files. An immutable file needs no tag, and modules are UTF-8 by definition.
        del response.headers["ETag"]
        if path.endswith(".js"):
            response.headers["Content-Type"] = MIMETYPES[".js"]
    return response


def _in_best_form(content: Encoded, mimetype: str) -> Response:
    """In the best encoding that the client accepts. Each has its own ETag, because the bytes differ."""
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
