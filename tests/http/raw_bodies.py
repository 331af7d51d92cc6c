"""Bodies of POST /token that are not, or only just, the JSON that it takes."""

from __future__ import annotations

import gzip

from tests.http.raw import CANARY, CLOSE, JSON, TOKEN, Table

_MARK = CANARY.encode()
_NO_JSON = "400 bad-json"
_REFUSED = "400 bad-request"
_INVALID = "422 invalid-field"
_NOT_ALLOWED = "422 field-not-allowed"
_OTHER_TYPE = "415 media-type"


def _body(body: bytes, fields: bytes = JSON) -> bytes:
    return TOKEN + CLOSE + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _ttl(number: bytes) -> bytes:
    return _body(b'{"ttl_seconds": ' + number + b"}")


def _app(text: str) -> bytes:
    return _body(f'{{"client": {{"app": "{text}"}}}}'.encode("utf-8", "surrogatepass"))


def _typed(fields: bytes) -> bytes:
    return _body(b"{}", fields)


_SHAPES: Table = {
    "object": (_body(b"{}"), "200"),
    "no body": (TOKEN + CLOSE + b"\r\n", "200"),
    "blanks around": (_body(b" \r\n\t{} \n"), "200"),
    "blanks alone": (_body(b" \n\t "), _NO_JSON),
    "array": (_body(b"[]"), _NO_JSON),
    "number": (_body(b"1"), _NO_JSON),
    "string": (_body(b'"' + _MARK + b'"'), _NO_JSON),
    "null": (_body(b"null"), _NO_JSON),
    "true": (_body(b"true"), _NO_JSON),
    "no JSON": (_body(_MARK), _NO_JSON),
    "half an object": (_body(b'{"profile": "' + _MARK), _NO_JSON),
    "two objects": (_body(b"{}{}"), _NO_JSON),
    "comment": (_body(b"{} // " + _MARK), _NO_JSON),
    "comma at the end": (_body(b'{"profile": "default",}'), _NO_JSON),
    "single quotes": (_body(b"{'profile': 'default'}"), _NO_JSON),
    "member twice": (_body(b'{"ttl_seconds": 30, "ttl_seconds": 40}'), _NO_JSON),
    "member twice, once escaped": (_body(b'{"profile": "default", "pro\\u0066ile": "x"}'), _NO_JSON),
    "member unknown": (_body(b'{"' + _MARK + b'": 1}'), _NOT_ALLOWED),
    "member without a name": (_body(b'{"": 1}'), _NOT_ALLOWED),
    "member of JavaScript": (_body(b'{"__proto__": {}}'), _NOT_ALLOWED),
    "member of 8,000 letters": (_body(b'{"' + b"k" * 8000 + b'": 1}'), _NOT_ALLOWED),
    "members, 700": (_body(b"{" + b",".join(b'"a%d": 1' % n for n in range(700)) + b"}"), _NOT_ALLOWED),
    "depth 10": (_body(b"[" * 10 + b"]" * 10), _NO_JSON),
    "depth 1,000": (_body(b"[" * 1000 + b"]" * 1000), _NO_JSON),
    "depth 4,000": (_body(b"[" * 4000 + b"]" * 4000), _NO_JSON),
    "depth 8,000, open": (_body(b"[" * 8000), _NO_JSON),
    "depth 100,000": (_body(b"[" * 100_000 + b"]" * 100_000), "413 too-large"),
    "objects 1,300 deep": (_body(b'{"a":' * 1300 + b"1" + b"}" * 1300), _NO_JSON),
    "objects 100 deep": (_body(b'{"client":' * 100 + b"{}" + b"}" * 100), _NOT_ALLOWED),
    "at the limit": (_body(b"{}" + b" " * 8190), "200"),
    "one byte above the limit": (_body(b"{}" + b" " * 8191), "413 too-large"),
    "far above the limit": (_body(b"a" * 500_000), "413 too-large"),
}
_NUMBERS: Table = {
    "whole": (_ttl(b"60"), "200"),
    "whole with a fraction": (_ttl(b"60.0"), _INVALID),
    "whole with an exponent": (_ttl(b"6e1"), _INVALID),
    "fraction": (_ttl(b"60.5"), _INVALID),
    "1e400": (_ttl(b"1e400"), _INVALID),
    "-1e400": (_ttl(b"-1e400"), _INVALID),
    "1e300": (_ttl(b"1e300"), _INVALID),
    "exponent of ten digits": (_ttl(b"1e9999999999"), _INVALID),
    "4,000 digits": (_ttl(b"9" * 4000), "422 ttl-too-long"),
    "8,000 digits": (_ttl(b"9" * 8000), _NO_JSON),
    "5,000 decimals": (_ttl(b"1." + b"0" * 5000), _INVALID),
    "zero below zero": (_ttl(b"-0"), _INVALID),
    "NaN": (_ttl(b"NaN"), _NO_JSON),
    "Infinity": (_ttl(b"-Infinity"), _NO_JSON),
    "hex": (_ttl(b"0x1f"), _NO_JSON),
    "zero first": (_ttl(b"060"), _NO_JSON),
    "sign": (_ttl(b"+60"), _NO_JSON),
    "number as text": (_ttl(b'"60"'), _INVALID),
    "number as truth": (_ttl(b"true"), _INVALID),
}
_TEXTS: Table = {
    "letters of every script": (_app("Zoë 日本 علی‌رضا"), "200"),
    "lone surrogate": (_app("\\ud800" + CANARY), _INVALID),
    "lone surrogate in a name": (_body(b'{"\\ud800": 1}'), _INVALID),
    "NUL": (_app("\\u0000" + CANARY), _INVALID),
    "NUL in a profile": (_body(b'{"profile": "\\u0000"}'), "404 profile-unknown"),
    "NUL as a byte": (_app("\0"), _NO_JSON),
    "line end as a byte": (_app("a\nb"), _NO_JSON),
    "line separator": (_app("\u2028"), _INVALID),
    "letters from right to left": (_app("\u202e" + CANARY), _INVALID),
    "text of 65 letters": (_app("a" * 65), _INVALID),
    "surrogate as bytes": (_app("\ud800"), _NO_JSON),
    "overlong UTF-8": (_body(b'{"profile": "\xc0\x80"}'), _NO_JSON),
    "Latin-1": (_body(b'{"profile": "\xe9"}'), _NO_JSON),
    "mark of UTF-8": (_body(b"\xef\xbb\xbf{}"), _NO_JSON),
    "UTF-16": (_body("{}".encode("utf-16")), _NO_JSON),
    "UTF-16 without a mark": (_body("{}".encode("utf-16-le")), _NO_JSON),
    "UTF-32": (_body("{}".encode("utf-32")), _NO_JSON),
    "UTF-7": (_body(b"+AHs-+AH0-"), _NO_JSON),
    "hard blank": (_body(b"\xa0{}"), _NO_JSON),
    "compressed": (_body(gzip.compress(b"{}", mtime=0)), _NO_JSON),
}
_TYPES: Table = {
    "no type": (_typed(b""), _OTHER_TYPE),
    "text": (_typed(b"Content-Type: text/plain\r\n"), _OTHER_TYPE),
    "form": (_typed(b"Content-Type: application/x-www-form-urlencoded\r\n"), _OTHER_TYPE),
    "form in parts": (_typed(b"Content-Type: multipart/form-data\r\n"), _OTHER_TYPE),
    "another JSON": (_typed(b"Content-Type: application/problem+json\r\n"), _OTHER_TYPE),
    "type in capitals": (_typed(b"Content-Type: APPLICATION/JSON\r\n"), "200"),
    "type with a character set": (_typed(b"Content-Type: application/json; charset=utf-8\r\n"), "200"),
    "type with a semicolon": (_typed(b"Content-Type: application/json;\r\n"), "200"),
    "type list": (_typed(b"Content-Type: application/json, text/plain\r\n"), _OTHER_TYPE),
    "type of garbage": (_typed(b"Content-Type: \xff" + _MARK + b"\r\n"), _OTHER_TYPE),
    "type twice, equal": (_typed(JSON + JSON), _REFUSED),
    "type twice, different": (_typed(JSON + b"Content-Type: text/plain\r\n"), _REFUSED),
    "declared as compressed": (_typed(JSON + b"Content-Encoding: gzip\r\n"), _OTHER_TYPE),
    "declared as not compressed": (_typed(JSON + b"Content-Encoding: identity\r\n"), _OTHER_TYPE),
    "key": (_typed(JSON + b"Idempotency-Key: " + _MARK + b"\r\n"), "200"),
    "key repeated in a new request": (_typed(JSON + b"Idempotency-Key: " + _MARK + b"\r\n"), "200"),
    "key twice": (_typed(JSON + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n"), _REFUSED),
    "key empty": (_typed(JSON + b"Idempotency-Key:\r\n"), _REFUSED),
    "key of 255 letters": (_typed(JSON + b"Idempotency-Key: " + b"a" * 255 + b"\r\n"), "200"),
    "key of 256 letters": (_typed(JSON + b"Idempotency-Key: " + b"a" * 256 + b"\r\n"), _REFUSED),
    "key with a blank": (_typed(JSON + b"Idempotency-Key: a b\r\n"), _REFUSED),
    "key beyond ASCII": (_typed(JSON + b"Idempotency-Key: \xe9" + _MARK + b"\r\n"), _REFUSED),
    "attestation of garbage": (_typed(JSON + b"X-Firebase-AppCheck: \xff" + _MARK + b"\r\n"), "200"),
}
BODIES: Table = {**_SHAPES, **_NUMBERS, **_TEXTS, **_TYPES}
