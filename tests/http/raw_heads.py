"""Request lines and headers. Every request asks for the last answer of its connection."""

from __future__ import annotations

from tests.http.raw import AGENT, APP, BEARER, CANARY, CLOSE, GET, HOST, ME, Table

_MARK = CANARY.encode()
_REFUSED = "400 bad-request"
_TOO_LARGE = "413 too-large"
_MISSING = "404 not-found"


def _line(line: bytes) -> bytes:
    return line + b"\r\n" + HOST + AGENT + CLOSE + b"\r\n"


def _target(target: bytes) -> bytes:
    return _line(b"GET " + target + b" HTTP/1.1")


def _field(field: bytes) -> bytes:
    return GET + field + b"\r\n" + CLOSE + b"\r\n"


def _me(field: bytes) -> bytes:
    return ME + field + b"\r\n" + CLOSE + b"\r\n"


def _as(credential: bytes) -> bytes:
    return ME.replace(BEARER.rstrip(), credential) + CLOSE + b"\r\n"


def _host(host: bytes, path: bytes = b"/me") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + AGENT + BEARER + CLOSE + b"Host: " + host + b"\r\n\r\n"


_LINES: Table = {
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", _REFUSED),
    "HTTP/1.0": (_line(b"GET /healthz HTTP/1.0"), "200"),
    "HTTP/1.2": (_line(b"GET /healthz HTTP/1.2"), _REFUSED),
    "HTTP/2.0": (_line(b"GET /healthz HTTP/2.0"), _REFUSED),
    "HTTP/3.0": (_line(b"GET /" + _MARK + b" HTTP/3.0"), _REFUSED),
    "HTTP/1.1.1": (_line(b"GET /healthz HTTP/1.1.1"), _REFUSED),
    "HTTP/1": (_line(b"GET /healthz HTTP/1"), _REFUSED),
    "HTTP/11": (_line(b"GET /healthz HTTP/11"), _REFUSED),
    "HTTP/+1.1": (_line(b"GET /healthz HTTP/+1.1"), _REFUSED),
    "http/1.1": (_line(b"GET /healthz http/1.1"), _REFUSED),
    "another protocol": (_line(b"OPTIONS * RTSP/1.0"), _REFUSED),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), _REFUSED),
    "TLS on the plain port": (b"\x16\x03\x01\x02\x00" + _MARK + b"\r\n\r\n", _REFUSED),
    "SSH": (b"SSH-2.0-" + _MARK + b"\r\n", _REFUSED),
    "line of JSON": (b'{"method": "' + _MARK + b'"}\n', _REFUSED),
    "PROXY line": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + _target(b"/healthz"), _REFUSED),
    "PROXY version 2": (b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c" + bytes(12) + _target(b"/healthz"), _REFUSED),
    "tabs in the line": (_line(b"GET\t/healthz\tHTTP/1.1"), _REFUSED),
    "two blanks in the line": (_line(b"GET  /healthz HTTP/1.1"), _REFUSED),
    "blank after the version": (_line(b"GET /healthz HTTP/1.1 "), _REFUSED),
    "no target": (_line(b"GET HTTP/1.1"), _REFUSED),
    "line ends with LF": (b"GET /healthz HTTP/1.1\n" + HOST + b"\r\n", _REFUSED),
    "CR in the line": (_line(b"GET /hea\rlthz HTTP/1.1"), _REFUSED),
    "NUL in the line": (_line(b"GET\x00 /healthz HTTP/1.1"), _REFUSED),
}
_METHODS: Table = {
    "lower case": (_line(b"get /healthz HTTP/1.1"), _REFUSED),
    "method of our own": (_line(_MARK + b" / HTTP/1.1"), _REFUSED),
    "method of 1,000 letters": (_line(b"A" * 1000 + b" /healthz HTTP/1.1"), _REFUSED),
    "method of one letter": (_line(b"A /healthz HTTP/1.1"), _REFUSED),
    "method with a parenthesis": (_line(b"GE(T /healthz HTTP/1.1"), _REFUSED),
    "method beyond ASCII": (_line("GÉT /healthz HTTP/1.1".encode()), _REFUSED),
    "unknown method": (_line(b"BREW /healthz HTTP/1.1"), "405 method"),
    "M-SEARCH": (_line(b"M-SEARCH /healthz HTTP/1.1"), "405 method"),
    "TRACE": (_line(b"TRACE /healthz HTTP/1.1"), "405 method"),
    "PUT": (_line(b"PUT /token HTTP/1.1"), "405 method"),
    "CONNECT to an authority": (_line(b"CONNECT 127.0.0.1:80 HTTP/1.1"), _REFUSED),
    "CONNECT to a path": (_line(b"CONNECT /healthz HTTP/1.1"), "405 method"),
    "OPTIONS of everything": (_line(b"OPTIONS * HTTP/1.1"), _MISSING),
    "OPTIONS of a route": (_line(b"OPTIONS /healthz HTTP/1.1"), "200"),
    "HEAD": (_line(b"HEAD /healthz HTTP/1.1"), "200"),
    "HEAD of an error": (_line(b"HEAD /nothing HTTP/1.1"), "404"),
}
_TARGETS: Table = {
    "absolute": (_target(b"http://127.0.0.1/healthz"), "200"),
    "absolute in capitals": (_target(b"HTTP://127.0.0.1/healthz"), "200"),
    "absolute without a path": (_target(b"http://127.0.0.1?x=1"), "200"),
    "absolute with https": (_target(b"https://127.0.0.1/healthz"), "200"),
    "absolute for another host": (_target(b"http://evil.example/healthz"), _REFUSED),
    "absolute for another port": (_target(b"http://127.0.0.1:99999/healthz"), _REFUSED),
    "absolute, both for another host": (_host(b"evil.example", b"http://evil.example/me"), _REFUSED),
    "absolute with user and password": (_target(b"http://a:b@127.0.0.1/healthz"), _REFUSED),
    "absolute without a host": (_target(b"http:///healthz"), _REFUSED),
    "absolute with half an address": (_target(b"http://[::1/healthz"), _REFUSED),
    "absolute beyond ASCII": (_target("http://ex℀mple/healthz".encode()), _REFUSED),
    "absolute with a fragment": (_target(b"http://127.0.0.1/healthz#x"), _REFUSED),
    "absolute with ftp": (_target(b"ftp://127.0.0.1/healthz"), _REFUSED),
    "absolute with an odd scheme": (_target(b"javascript://127.0.0.1/%0aalert(1)"), _REFUSED),
    "authority": (_target(b"127.0.0.1:80"), _REFUSED),
    "asterisk": (_target(b"*"), _REFUSED),
    "only a query": (_target(b"?x"), _REFUSED),
    "backslash first": (_target(b"\\healthz"), _REFUSED),
    "fragment": (_target(b"/healthz#" + _MARK), _REFUSED),
    "fragment after the query": (_target(b"/healthz?x#" + _MARK), _REFUSED),
    "two slashes": (_target(b"//healthz"), _MISSING),
    "three slashes": (_target(b"///"), _MISSING),
    "two slashes, one encoded": (_target(b"/%2fhealthz"), _MISSING),
    "two slashes and a host": (_target(b"//evil.example/healthz"), _MISSING),
    "slash at the end": (_target(b"/healthz/"), "200"),
    "dot": (_target(b"/./healthz"), _MISSING),
    "dots": (_target(b"/../healthz"), _MISSING),
    "dots encoded": (_target(b"/%2e%2e/healthz"), _MISSING),
    "dots overlong": (_target(b"/%c0%ae%c0%ae/healthz"), _MISSING),
    "dots below the files": (_target(b"/live/../../pyproject.toml"), _MISSING),
    "dots and slash encoded": (_target(b"/live/..%2f..%2fpyproject.toml"), _MISSING),
    "dots and backslash": (_target(b"/live/..\\..\\pyproject.toml"), _MISSING),
    "NUL after a file's name": (_target(b"/live/index.js%00.html"), _MISSING),
    "NUL encoded": (_target(b"/%00"), _MISSING),
    "line end encoded": (_target(b"/%0d%0aSet-Cookie:%20" + _MARK), _MISSING),
    "not UTF-8": (_target(b"/%ff" + _MARK), _MISSING),
    "surrogate": (_target(b"/%ed%a0%80"), _MISSING),
    "not hex": (_target(b"/%zz"), _MISSING),
    "half an escape": (_target(b"/%"), _MISSING),
    "semicolon": (_target(b"/healthz;a=b"), _MISSING),
    "markup": (_target(b'/"<script>' + _MARK), _MISSING),
    "capitals": (_target(b"/HEALTHZ"), _MISSING),
    "empty part": (_target(b"/sessions//token"), _MISSING),
    "NUL": (_target(b"/\x00" + _MARK), _REFUSED),
    "byte beyond ASCII": (_target(b"/\xff" + _MARK), _REFUSED),
    "UTF-8": (_target("/é".encode()), _REFUSED),
    "query with controls": (_target(b"/healthz?x=%00%ff&y"), "200"),
    "query of 1,500 parameters": (_target(b"/healthz?" + b"&".join([b"a"] * 1500)), "200"),
    "target of 4 KB": (_target(b"/" + b"a" * 4060), _MISSING),
    "target of 5 KB": (_target(b"/" + b"a" * 5000), _TOO_LARGE),
    "target of 64 KB": (_target(b"/" + b"a" * 65536), _TOO_LARGE),
}
_FIELDS: Table = {
    "no colon": (_field(b"X-A"), _REFUSED),
    "no name": (_field(b": a"), _REFUSED),
    "no value": (_field(b"X-A:"), "200"),
    "blank in the name": (_field(b"X A: " + _MARK), _REFUSED),
    "slash in the name": (_field(b"X/A: 1"), _REFUSED),
    "NUL in the name": (_field(b"X\0A: 1"), _REFUSED),
    "name beyond ASCII": (_field(b"X\xe9: 1"), _REFUSED),
    "name of 17 KB": (_field(b"X" * 17000 + b": a"), _TOO_LARGE),
    "value beyond ASCII": (_field(b"X-A: \xe9"), "200"),
    "value with a tab": (_field(b"X-A: a\tb"), "200"),
    "value with NUL": (_field(b"X-A: \x00" + _MARK), _REFUSED),
    "value with a bell": (_field(b"X-A: \x07"), _REFUSED),
    "value with DEL": (_field(b"X-A: \x7f"), _REFUSED),
    "value with CR": (_field(b"X-A: a\rb"), _REFUSED),
    "value with LF": (_field(b"X-A: a\nX-B: b"), _REFUSED),
    "value folded": (_field(b"X-A: 1\r\n " + _MARK), _REFUSED),
    "value folded with a tab": (_field(b"X-A: 1\r\n\t2"), _REFUSED),
    "value of 16,000 bytes": (_field(b"X-A: " + b"a" * 16000), "200"),
    "value of 64 KB": (_field(b"X-A: " + b"a" * 65536), _TOO_LARGE),
    "40 headers": (_field(b"\r\n".join([b"X-A: a"] * 40)), "200"),
    "101 headers": (_field(b"\r\n".join(b"X-%d: a" % n for n in range(101))), _TOO_LARGE),
    "10,000 headers": (_field(b"\r\n".join([b"X: a"] * 10_000)), _TOO_LARGE),
    "10 headers of 9 KB": (_field(b"\r\n".join([b"X-A: " + b"a" * 9000] * 10)), _TOO_LARGE),
    "expectation": (_field(b"Expect: " + _MARK), "200"),
    "expectation in HTTP/1.0": (
        _field(b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1), "200",
    ),
    "upgrade to h2c": (
        _field(b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings"), "200",
    ),
    "connection with odd tokens": (_field(b"Connection: \xff, keep-alive, ,,"), "200"),
    "connection kept and closed": (_field(b"Connection: keep-alive"), "200"),
    "connection names a header": (_me(b"Connection: Authorization"), "200"),
    "range": (_field(b"Range: bytes=9-1,abc"), "200"),
    "conditions": (_field(b'If-None-Match: "\xff\r\nIf-Modified-Since: ' + _MARK), "200"),
    "weights": (_field(b"Accept-Encoding: \xff;q=abc\r\nAccept: a/b;q=zzz"), "200"),
    "another method in a header": (_field(b"X-HTTP-Method-Override: DELETE"), "200"),
    "request id": (_field(b"X-Request-Id: \xff" + _MARK), "200"),
    "forwarded": (_field(b"X-Forwarded-For: \xff, ,\r\nForwarded: for=" + _MARK), "200"),
}  # fmt: skip
_CALLERS: Table = {
    "bearer twice": (_me(BEARER.rstrip()), _REFUSED),
    "bearer beside another scheme": (_me(b"Authorization: Basic YTpi"), _REFUSED),
    "bearer beside a service key": (_me(b"X-API-Key: " + _MARK), _REFUSED),
    "service key with underscore in its name": (_me(b"X_API_Key: " + _MARK), "200"),
    "service key twice": (_as(b"X-API-Key: a\r\nX-API-Key: b"), _REFUSED),
    "service key unknown": (_as(b"X-API-Key: " + _MARK), "401 invalid-token"),
    "bearer of 8 KB": (_as(b"Authorization: Bearer " + b"a" * 8192), "401 invalid-token"),
    "bearer of 16 KB": (_as(b"Authorization: Bearer " + b"a" * 16384), _TOO_LARGE),
    "bearer empty": (_as(b"Authorization: Bearer "), _REFUSED),
    "bearer in the query": (_target(b"/me?access_token=" + _MARK), _REFUSED),
    "cookies": (_me(b"Cookie: a=b\r\nCookie: c=d"), "200"),
    "cookie of garbage": (_me(b'Cookie: =;;="\\\xff;='), "200"),
    "cookie of 10 KB": (_me(b"Cookie: a=" + b"b" * 10_000), "200"),
    "origin twice": (_me(b"Origin: " + APP.encode()), "403 origin-forbidden"),
    "host user": (_host(b"user@127.0.0.1"), _REFUSED),
    "host with a path": (_host(b"127.0.0.1/" + _MARK), _REFUSED),
    "host with a query": (_host(b"127.0.0.1?x"), _REFUSED),
    "host with a blank": (_host(b"127.0.0.1 " + _MARK), _REFUSED),
    "host beyond ASCII": (_host(b"127.0.0.\xe9"), _REFUSED),
    "host of another alphabet": (_host("bücher.example".encode()), _REFUSED),
    "host list": (_host(b"127.0.0.1, evil.example"), _REFUSED),
    "host empty": (_host(b""), _REFUSED),
    "host with a huge port": (_host(b"127.0.0.1:999999"), _REFUSED),
    "host with a port of letters": (_host(b"127.0.0.1:abc"), _REFUSED),
    "host with half an address": (_host(b"[::1"), _REFUSED),
    "host of 5,000 letters": (_host(b"a" * 5000), _REFUSED),
    "host of another site": (_host(b"evil.example"), _REFUSED),
    "hosts equal": (_host(b"127.0.0.1\r\n" + HOST.rstrip()), _REFUSED),
    "hosts different": (_host(b"127.0.0.1\r\nHost: " + _MARK), _REFUSED),
    "no host": (ME.replace(HOST, b"") + CLOSE + b"\r\n", _REFUSED),
    "no host, HTTP/1.0": (ME.replace(HOST, b"").replace(b"1.1", b"1.0") + CLOSE + b"\r\n", "200"),
    "no host, probe": (GET.replace(HOST, b"") + CLOSE + b"\r\n", "200"),
}  # fmt: skip
HEADS: Table = {**_LINES, **_METHODS, **_TARGETS, **_FIELDS, **_CALLERS}
