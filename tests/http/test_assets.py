"""The files under web/ are served minified and compressed, and never cached for too long."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import brotli
import pytest
from flask.testing import FlaskClient

from broker.http.assets import Assets
from broker.http.pages import _STARTED, ASSETS, WEB

ROOT = Path(__file__).parents[2]
FILE = "/live/live-session.js"


def scripts() -> list[str]:
    """The modules, without the bundle."""
    paths = (path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js"))
    return sorted(path for path in paths if not path.startswith("bundle/"))


@pytest.mark.parametrize(
    ("accepted", "form"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0, gzip;q=0", None),
        ("", None),
    ],
)
def test_file_has_the_best_encoding_that_the_client_accepts(
    client: FlaskClient, accepted: str, form: str | None
) -> None:
    plain = client.get(FILE, headers={"Accept-Encoding": "identity"})
    answer = client.get(FILE, headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == form
    assert answer.vary.find("Accept-Encoding") >= 0
    opened = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[form](answer.data)
    assert opened == plain.data
    assert int(answer.headers["Content-Length"]) == len(answer.data)


def test_each_encoding_has_its_own_etag(client: FlaskClient) -> None:
    tags = {}
    for form in ("br", "gzip", "identity"):
        wish = {"Accept-Encoding": form}
        tags[form] = client.get(FILE, headers=wish).headers["ETag"]
        again = client.get(FILE, headers={**wish, "If-None-Match": tags[form]})
        assert (again.status_code, again.data) == (304, b"")
        assert again.vary.find("Accept-Encoding") >= 0
        other = client.get(FILE, headers={**wish, "If-None-Match": '"something else"'})
        assert other.status_code == 200
    assert len(set(tags.values())) == 3


def test_file_is_cached_only_at_the_address_of_its_content(client: FlaskClient) -> None:
    assert client.get(FILE).headers["Cache-Control"] == "no-cache"
    now = client.get(f"/assets/{ASSETS.version}{FILE}")
    assert now.headers["Cache-Control"] == "max-age=31536000, immutable"
    before = client.get(f"/assets/0123456789ab{FILE}")
    assert (before.status_code, before.headers["Cache-Control"]) == (200, "no-cache")
    assert before.data == now.data


def test_page_is_compressed_and_never_cached(client: FlaskClient) -> None:
    page = client.get("/", headers={"Accept-Encoding": "br"})
    assert page.headers["Cache-Control"] == "no-store"
    assert {name.lower() for name in page.vary} >= {"cookie", "accept-encoding"}
    assert "<!doctype html>" in brotli.decompress(page.data).decode()


@pytest.mark.parametrize(
    "path", ["live/README.md", "live/package.json", "../pyproject.toml", "demo/index.html", "live", "live/"]
)
def test_no_other_path_is_served(client: FlaskClient, path: str) -> None:
    for prefix in ("/", f"/assets/{ASSETS.version}/"):
        assert client.get(prefix + path).status_code == 404


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    script = tmp_path / "live" / "a.js"
    script.parent.mkdir()
    script.write_text("// why\nexport const a = 1;\n")
    assets = Assets(tmp_path, rescan_seconds=0)
    first = assets.find("live/a.js")
    version = assets.version
    assert first is not None
    assert first.identity == b"export const a=1;"
    script.write_text("export const a = 22;\n")
    second = assets.find("live/a.js")
    assert second is not None
    assert second.identity == b"export const a=22;"
    assert assets.version != version


def test_minified_scripts_are_the_same_programs(tmp_path: Path) -> None:
    """esbuild parses both versions and prints the same program: private names, expressions and templates."""
    for path in scripts():
        served = ASSETS.find(path)
        assert served is not None
        (tmp_path / "served" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "served" / path).write_bytes(served.identity)

    def understood(folder: Path) -> dict[str, str]:
        target = tmp_path / f"{folder.name}-understood"
        command: list[str | Path] = [
            ROOT / "node_modules/.bin/esbuild",
            "--minify",
            "--legal-comments=none",
            "--tsconfig-raw={}",
        ]
        command += [f"--outdir={target}", f"--outbase={folder}", "--log-level=warning"]
        subprocess.run([*command, *(folder / path for path in scripts())], check=True, timeout=60)
        return {path: (target / path).read_text() for path in scripts()}

    assert understood(tmp_path / "served") == understood(WEB)


def test_page_preloads_everything_that_its_modules_import(client: FlaskClient) -> None:
    """The broker makes the list from the imports. This test reads the imports in another way."""
    html = client.get("/").get_data(as_text=True)
    preloaded = set(re.findall(r'rel="modulepreload" href="/assets/\w+/([^"]+)"', html))
    assert preloaded == set(ASSETS.page("demo", _STARTED).modules)
    named = set(Assets(WEB, use_bundle=False).page("demo", _STARTED).modules)
    assert any(path.endswith("-worker.js") for path in named)
    for path in named:
        source = re.sub(r"/\*.*?\*/", "", (WEB / path).read_text(), flags=re.DOTALL)
        for name in re.findall(r"^(?:import|export|\})[^;(]*?'(\.[^']+)';", source, flags=re.MULTILINE):
            imported = ((WEB / path).parent / name).resolve().relative_to(WEB.resolve()).as_posix()
            assert imported in named, f"{path} imports {imported}"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A copy of web/ with its bundle."""
    return Path(shutil.copytree(WEB, tmp_path / "web"))


def test_page_loads_the_bundle_until_a_source_changes(web: Path) -> None:
    assets = Assets(web, rescan_seconds=0)
    bundled = assets.page("demo", _STARTED)
    assert bundled.script == "bundle/demo/main.js"
    assert bundled.styles == ["bundle/demo/main.css"]
    assert all(assets.find(path) for path in (bundled.script, *bundled.styles, *bundled.modules))
    for changed in ("demo/ring.js", "common/base.css"):
        source = (web / changed).read_text()
        (web / changed).write_text(source + "\n/* edited */\n")
        plain = assets.page("demo", _STARTED)
        assert plain.script == "demo/main.js"
        assert {"demo/ring.js", "live/network/network-worker.js"} < set(plain.modules)
        assert plain.styles == ["common/base.css", "demo/extras.css", "demo/talk-view.css"]
        (web / changed).write_text(source)
        assert assets.page("demo", _STARTED) == bundled


def test_checkout_without_a_bundle_serves_single_modules(web: Path) -> None:
    shutil.rmtree(web / "bundle")
    assert Assets(web).page("ops").script == "ops/main.js"


def test_bundle_is_reproducible_and_names_only_files_that_exist(web: Path) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        files = (path for path in (folder / "bundle").rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    before = contents(WEB)
    shutil.rmtree(web / "bundle")
    subprocess.run(["node", ROOT / "scripts/bundle.mjs", web], check=True, timeout=60)
    assert contents(web) == before
    programs = 0
    for path, content in before.items():
        if path.endswith(".map"):  # refers to single modules, which the broker serves too
            for name in json.loads(content)["sources"]:
                assert ((WEB / path).parent / name).resolve().is_relative_to(WEB.resolve())
                assert ((WEB / path).parent / name).is_file(), f"{path} shows {name}"
            continue
        for name in re.findall(r'(?:\bfrom|\bimport\(?)\s*["\'](\.[^"\']+)["\']', content.decode()):
            imported = ((WEB / path).parent / name).resolve().relative_to(WEB.resolve()).as_posix()
            # A program loads its late modules as the single files that they are.
            assert imported in before or (WEB / imported).is_file(), f"{path} imports {name}"
        for here, name in re.findall(
            r'new URL\("(\./[^"]+)",new URL\("([^"]+)",import\.meta', content.decode()
        ):
            program = ((WEB / path).parent / name).parent / here
            assert program.resolve().relative_to(WEB.resolve()).as_posix() in before
            programs += 1
    assert programs == 4  # the network worker, the recorder and two worklets
