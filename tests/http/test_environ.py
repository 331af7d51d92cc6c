"""The WSGI environ of a request: nothing in it may look like what the client did not send."""

from __future__ import annotations

import pytest

from broker.http.wsgi import REFUSAL, Environ, environ_of


def _environ(*headers: tuple[bytes, bytes], target: bytes = b"/token", query: bytes = b"") -> Environ:
    scope = {
        "method": "POST",
        "scheme": "http",
        "http_version": "1.1",
        "raw_path": target,
        "query_string": query,
        "headers": list(headers),
    }
    return environ_of(scope)


@pytest.mark.parametrize("name", [b"x_forwarded_for", b"x-forwarded_for", b"x_api_key", b"content_length"])
def test_name_with_underscore_never_stands_for_another(name: bytes) -> None:
    environ = _environ((b"x-forwarded-for", b"192.0.2.1"), (name, b"203.0.113.9"))
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"
    assert "203.0.113.9" not in environ.values()


def test_repeated_headers_are_joined_as_their_kind_is() -> None:
    """A gateway may send each cookie in a header of its own."""
    environ = _environ((b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"idempotency-key", b"x"), (b"x-a", b"1"))
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    environ = _environ((b"idempotency-key", b"x"), (b"idempotency-key", b"y"))
    assert environ["HTTP_IDEMPOTENCY_KEY"] == "x, y"


@pytest.mark.parametrize("target", [b"//token", b"/%2Ftoken", b"///token", b"http://a//token"])
def test_second_slash_is_not_lost(target: bytes) -> None:
    """The router, the lanes and a proxy's rules must see one path."""
    assert not _environ(target=target)["PATH_INFO"].startswith(("//", "/token"))


def test_absolute_form_names_the_host() -> None:
    environ = _environ(target=b"HTTP://Voice.example:8080/token", query=b"x=1")
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("Voice.example:8080", "/token")
    assert REFUSAL not in environ
    assert REFUSAL not in _environ((b"host", b"voice.EXAMPLE"), target=b"http://voice.example/token")
    assert REFUSAL in _environ((b"host", b"voice.example"), target=b"http://voice.example:8080/token")


@pytest.mark.parametrize(
    "target", [b"", b"token", b"a:80", b"http://", b"ftp://a/", b"http://u@a/", b"/#", b"/a#b"]
)
def test_malformed_target_is_refused(target: bytes) -> None:
    environ = _environ(target=target)
    assert (environ[REFUSAL], environ["PATH_INFO"]) == ("bad-request", "/-")
