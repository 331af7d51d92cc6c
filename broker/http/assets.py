"""The files under web/ as browsers get them: minified, compressed, at an address made from their content.

Prepares each file once per content and process, and finds the files that a page needs. Leaves routes and
headers to pages.py. A changed file is read again, so a checkout needs no build step. If scripts/bundle.mjs
has made a bundle from the current files, pages load it instead of the single modules.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import brotli
import rcssmin
import rjsmin

MIMETYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
# Removes comments and blank space. Names and syntax stay, so that a stack trace still matches the source.
# rjsmin damages blanks in a template literal that is nested in another one, so such a script stays as it is.
_NESTED_TEMPLATE = re.compile(r"\$\{[^}`]*`")
_SHORTEN: dict[str, Callable[[str], str]] = {
    ".js": lambda script: script if _NESTED_TEMPLATE.search(script) else rjsmin.jsmin(script),
    ".css": rcssmin.cssmin,
}
_COMPRESSED_ALREADY = {".png"}
_BUNDLE = "bundle/"
_BUNDLED = {".js", ".css"}
# Static imports only: a page loads later what it imports with `import(…)`.
_IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*["'](\.{1,2}/[^"']+)["']""")


@dataclass(frozen=True)
class Encoded:
    """One body in each encoding that a client may accept. `etag` depends on the content only."""

    identity: bytes
    compressible: bool = True

    @cached_property
    def etag(self) -> str:
        return hashlib.sha256(self.identity).hexdigest()[:16]

    @cached_property
    def br(self) -> bytes:
        return bytes(brotli.compress(self.identity))

    @cached_property
    def gzip(self) -> bytes:
        return gzip.compress(self.identity, mtime=0)


@lru_cache(maxsize=32)
def encoded_page(html: str) -> Encoded:
    """A rendered page. The number of different pages is small: one per combination of template values."""
    return Encoded(re.sub(r"\n\s*", "\n", html).encode())


@dataclass(frozen=True)
class PageFiles:
    """The files that a page loads immediately, as paths below web/. `script` is one of `modules`."""

    script: str
    styles: list[str]
    modules: list[str]


class Assets:
    """All files of the folder that are for browsers, by their path below it, such as `live/index.js`."""

    def __init__(self, root: Path, rescan_seconds: float = 1.0, *, use_bundle: bool = True) -> None:
        self._root = root
        self._rescan_seconds = rescan_seconds
        self._use_bundle = use_bundle
        self._scanned_at = float("-inf")
        self._stamps: dict[str, tuple[int, int]] = {}
        self._files: dict[str, Encoded] = {}
        self._version = ""
        self._bundle: dict[str, list[str]] | None = None

    def find(self, path: str) -> Encoded | None:
        self._refresh()
        return self._files.get(path)

    @property
    def version(self) -> str:
        """A hash over all files. Every process that has the same files has the same version."""
        self._refresh()
        return self._version

    def page(self, name: str, programs: Iterable[str] = ()) -> PageFiles:
        """The files of the page in the folder `name`. The page also starts `programs`, such as workers."""
        self._refresh()
        bundle, files = self._bundle, self._files
        script = f"{name}/main.js"
        if bundle is not None:
            modules = [_BUNDLE + path for path in (*bundle[name], *programs)]
            return PageFiles(_BUNDLE + script, [f"{_BUNDLE}{name}/main.css"], modules)
        own = [path for path in files if path.startswith(f"{name}/") and path.endswith(".css")]
        return PageFiles(script, ["common/base.css", *own], self._modules((script, *programs)))

    def _modules(self, roots: Iterable[str]) -> list[str]:
        """The paths of these modules and of everything that they import, at any depth, each once."""
        found = dict.fromkeys(roots)
        for path in (waiting := list(found)):
            for name in _IMPORT.findall(self._files[path].identity.decode()):
                imported = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
                if imported not in found:
                    found[imported] = None
                    waiting.append(imported)
        return list(found)

    def _refresh(self) -> None:
        if time.monotonic() - self._scanned_at < self._rescan_seconds:
            return
        try:
            self._scan()
        except FileNotFoundError:  # a new bundle replaced the one that was being read
            if not self._files:
                self._scan()

    def _scan(self) -> None:
        stamps = {}
        for path in sorted(self._root.rglob("*")):
            if path.suffix in MIMETYPES and path.is_file():
                stat = path.stat()
                stamps[path.relative_to(self._root).as_posix()] = (stat.st_mtime_ns, stat.st_size)
        # Several threads may do this at once. Each makes the same, and no thread sees a partial result.
        if stamps != self._stamps:
            files = {path: self._read(path) for path in stamps}
            names = "".join(f"{path} {file.etag}\n" for path, file in files.items())
            bundle = self._current_bundle(stamps) if self._use_bundle else None
            self._files, self._bundle = files, bundle
            self._version = hashlib.sha256(names.encode()).hexdigest()[:12]
            self._stamps = stamps
        self._scanned_at = time.monotonic()

    def _read(self, path: str) -> Encoded:
        content = (self._root / path).read_bytes()
        suffix = Path(path).suffix
        shorten = _SHORTEN.get(suffix)
        if shorten and not path.startswith(_BUNDLE):
            content = shorten(content.decode()).encode()
        return Encoded(content, compressible=suffix not in _COMPRESSED_ALREADY)

    def _current_bundle(self, paths: Iterable[str]) -> dict[str, list[str]] | None:
        """The bundle's modules by page. None if there is no bundle, or if it was made from other files."""
        try:
            manifest = json.loads((self._root / _BUNDLE / "manifest.json").read_text())
        except FileNotFoundError:
            return None
        sources = "".join(
            f"{path} {hashlib.sha256((self._root / path).read_bytes()).hexdigest()}\n"
            for path in sorted(paths)
            if Path(path).suffix in _BUNDLED and not path.startswith(_BUNDLE)
        )
        is_current = manifest["sources"] == hashlib.sha256(sources.encode()).hexdigest()
        return dict(manifest["modules"]) if is_current else None
