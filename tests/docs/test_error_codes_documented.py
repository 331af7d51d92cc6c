"""docs/http-api.md lists exactly the codes of refusals, each with status, title and remedy."""

from __future__ import annotations

from broker.errors import CODES
from tests.docs.markdown import bare, rows, section


def test_every_code_is_documented_with_its_status() -> None:
    table = rows(section("docs/http-api.md", "### Codes"))
    documented = {bare(code): int(status) for code, status, _title, _what_to_do in table}
    assert documented == {code: status for code, (status, _title) in CODES.items()}


def test_every_title_is_documented() -> None:
    table = rows(section("docs/http-api.md", "### Codes"))
    documented = {bare(code): title for code, _status, title, _what_to_do in table}
    assert documented == {code: title for code, (_status, title) in CODES.items()}


def test_every_code_says_what_to_do() -> None:
    table = rows(section("docs/http-api.md", "### Codes"))
    assert [code for code, _status, _title, what_to_do in table if len(what_to_do) < 10] == []
