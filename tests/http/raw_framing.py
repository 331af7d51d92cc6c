"""Where does a request end? Each request is followed by another, which a wrong answer would serve."""

from __future__ import annotations

from tests.http.raw import CANARY, HOST, JSON, NEXT, TOKEN, Table

_POST = TOKEN + JSON
_REFUSED = "400 bad-request"
_BOTH = "200, 404 not-found"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_TWO = b"2\r\n{}\r\n0\r\n\r\n"


def _length(value: bytes, body: bytes = b"{}") -> bytes:
    return _POST + b"Content-Length: " + value + b"\r\n\r\n" + body + NEXT


def _coding(fields: bytes, body: bytes = _TWO) -> bytes:
    return _POST + fields + b"\r\n" + body + NEXT


def _chunks(body: bytes) -> bytes:
    return _coding(_CHUNKED, body)


_LENGTHS: Table = {
    "length": (_length(b"2"), _BOTH),
    "length with zeros": (_length(b"0000000002"), _BOTH),
    "length after a tab": (_length(b"\t2\t"), _BOTH),
    "length twice, equal": (_length(b"2\r\nContent-Length: 2"), _REFUSED),
    "length twice, different": (_length(b"2\r\nContent-Length: 3"), _REFUSED),
    "lengths in a list, equal": (_length(b"2, 2"), _REFUSED),
    "lengths in a list, different": (_length(b"2, 3"), _REFUSED),
    "length negative": (_length(b"-2"), _REFUSED),
    "length with sign": (_length(b"+2"), _REFUSED),
    "length in hex": (_length(b"0x2"), _REFUSED),
    "length with underscore": (_length(b"1_0", b"{}12345678"), _REFUSED),
    "length with blank": (_length(b"1 0", b"{}12345678"), _REFUSED),
    "length as a fraction": (_length(b"2.0"), _REFUSED),
    "length empty": (_length(b""), _REFUSED),
    "length a word": (_length(CANARY.encode()), _REFUSED),
    "length in Arabic digits": (_length("٢".encode()), _REFUSED),
    "length superscript": (_length(b"\xb2"), _REFUSED),
    "length and a hard blank": (_length(b"2\xa0"), _REFUSED),
    "length after a vertical tab": (_length(b"\x0b2"), _REFUSED),
    "length of 20 digits": (_length(b"9" * 20), "413 too-large"),
    "length of 5,000 digits": (_length(b"9" * 5000), _REFUSED),
    "length above the limit": (_length(b"8193", b"{}"), "413 too-large"),
    "length with underscore in its name": (_POST + b"Content_Length: 90\r\n\r\n" + NEXT, _BOTH),
    "body longer than its length": (_length(b"2", b"{}" + CANARY.encode() + b"\r\n\r\n"), "200, " + _REFUSED),
}
_CODINGS: Table = {
    "chunked": (_coding(_CHUNKED), _BOTH),
    "chunked in capitals": (_coding(b"Transfer-Encoding: CHUNKED\r\n"), _BOTH),
    "chunked after a tab": (_coding(b"Transfer-Encoding:\tchunked\r\n"), _BOTH),
    "chunked with underscore in its name": (_POST + b"Transfer_Encoding: chunked\r\n\r\n" + NEXT, _BOTH),
    "chunked and length": (_coding(_CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), _REFUSED),
    "length and chunked": (_coding(b"Content-Length: 5\r\n" + _CHUNKED, b"0\r\n\r\n"), _REFUSED),
    "length and an unknown coding": (_coding(b"Content-Length: 2\r\nTransfer-Encoding: x\r\n"), _REFUSED),
    "length and identity": (_coding(b"Content-Length: 2\r\nTransfer-Encoding: identity\r\n"), _REFUSED),
    "unknown coding": (_coding(b"Transfer-Encoding: " + CANARY.encode() + b"\r\n"), _REFUSED),
    "xchunked": (_coding(b"Transfer-Encoding: xchunked\r\n"), _REFUSED),
    "chunked, identity": (_coding(b"Transfer-Encoding: chunked, identity\r\n"), _REFUSED),
    "identity, chunked": (_coding(b"Transfer-Encoding: identity, chunked\r\n"), _REFUSED),
    "gzip, chunked": (_coding(b"Transfer-Encoding: gzip, chunked\r\n"), _REFUSED),
    "gzip and chunked in two headers": (_coding(b"Transfer-Encoding: gzip\r\n" + _CHUNKED), _REFUSED),
    "chunked, chunked": (_coding(b"Transfer-Encoding: chunked, chunked\r\n"), _REFUSED),
    "chunked in two headers": (_coding(_CHUNKED + _CHUNKED), _REFUSED),
    "chunked in quotes": (_coding(b'Transfer-Encoding: "chunked"\r\n'), _REFUSED),
    "chunked with parameter": (_coding(b"Transfer-Encoding: chunked;q=1\r\n"), _REFUSED),
    "chunked and a comma": (_coding(b"Transfer-Encoding: chunked,\r\n"), _REFUSED),
    "comma and chunked": (_coding(b"Transfer-Encoding: ,chunked\r\n"), _REFUSED),
    "coding empty": (_coding(b"Transfer-Encoding: \r\n"), _REFUSED),
    "blank before the colon": (_coding(b"Transfer-Encoding : chunked\r\n"), _REFUSED),
    "tab before the colon": (_coding(b"Transfer-Encoding\t: chunked\r\n"), _REFUSED),
    "blank before the name": (_coding(b" " + _CHUNKED), _REFUSED),
    "vertical tab before chunked": (_coding(b"Transfer-Encoding: \x0bchunked\r\n"), _REFUSED),
    "NUL after chunked": (_coding(b"Transfer-Encoding: chunked\x00\r\n"), _REFUSED),
    "chunked on the next line": (_coding(b"Transfer-Encoding:\r\n chunked\r\n"), _REFUSED),
    "chunked after a bare CR": (_coding(b"X: a\r" + _CHUNKED), _REFUSED),
    "chunked after a bare LF": (_coding(b"X: a\n" + _CHUNKED), _REFUSED),
    "chunked in HTTP/1.0": (_coding(_CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1), _REFUSED),
}
_CHUNKS: Table = {
    "chunk with extension": (_chunks(b"2;a=b\r\n{}\r\n0\r\n\r\n"), _BOTH),
    "chunk with quoted extension": (_chunks(b'2;a="b;c"\r\n{}\r\n0\r\n\r\n'), _BOTH),
    "chunk size with zeros": (_chunks(b"0" * 300 + b"2\r\n{}\r\n000\r\n\r\n"), _BOTH),
    "chunks of one byte": (_chunks(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), _BOTH),
    "no chunk but the last": (_chunks(b"0\r\n\r\n"), _BOTH),
    "trailer": (_chunks(b"2\r\n{}\r\n0\r\nX-T: " + CANARY.encode() + b"\r\n\r\n"), _BOTH),
    "trailer with credentials": (_chunks(b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"), _REFUSED),
    "trailer with length": (_chunks(b"2\r\n{}\r\n0\r\nContent-Length: 90\r\n\r\n"), _REFUSED),
    "trailer with bare LF": (_chunks(b"2\r\n{}\r\n0\r\nX-T: 1\n\r\n"), _REFUSED),
    "trailer of 64 KB": (_chunks(b"2\r\n{}\r\n0\r\nX-T: " + b"a" * 65536 + b"\r\n\r\n"), "413 too-large"),
    "trailers, 1,000": (_chunks(b"2\r\n{}\r\n0\r\n" + b"X-T: a\r\n" * 1000 + b"\r\n"), "413 too-large"),
    "chunk size negative": (_chunks(b"-2\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size with sign": (_chunks(b"+2\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size with 0x": (_chunks(b"0x2\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size with underscore": (_chunks(b"0_2\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size not hex": (_chunks(b"zz\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size empty": (_chunks(b"\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size before a blank": (_chunks(b"2 \r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size after a blank": (_chunks(b" 2\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size with NUL": (_chunks(b"2\x00\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk size of 64 KB": (_chunks(b"0" * 65536 + b"2\r\n{}\r\n0\r\n\r\n"), "413 too-large"),
    "chunk above the limit": (
        _chunks(b"2001\r\n" + b" " * 8193 + b"\r\n0\r\n\r\n"), "413 too-large, 404 not-found",
    ),
    "chunk extension with LF": (_chunks(b"2;a\nb\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk extension with CR": (_chunks(b"2;a\rb\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk extension with NUL": (_chunks(b"2;\x00\r\n{}\r\n0\r\n\r\n"), _REFUSED),
    "chunk extension of 64 KB": (_chunks(b"2;a=" + b"a" * 65536 + b"\r\n{}\r\n0\r\n\r\n"), "413 too-large"),
    "chunk lines end with LF": (_chunks(b"2\n{}\n0\n\n"), _REFUSED),
    "chunk ends with LF": (_chunks(b"2\r\n{}\n0\r\n\r\n"), _REFUSED),
    "chunk without an end": (_chunks(b"2\r\n{}0\r\n\r\n"), _REFUSED),
    "chunk longer than its size": (_chunks(b"2\r\n{}XX\r\n0\r\n\r\n"), _REFUSED),
    "last chunk ends with LF": (_chunks(b"2\r\n{}\r\n0\r\n\n"), _REFUSED),
    "chunks of one byte, 9,000": (_chunks(b"1\r\n \r\n" * 9000 + b"0\r\n\r\n"), "413 too-large"),
}  # fmt: skip
_STARTS: Table = {
    "empty line first": (b"\r\n" + _length(b"2"), _BOTH),
    "empty lines first": (b"\r\n" * 50 + _length(b"2"), _REFUSED),
    "bare LF first": (b"\n" + _length(b"2"), _REFUSED),
    "blank first": (b" " + _length(b"2"), _REFUSED),
    "blank before the first header": (_length(b"2").replace(HOST, b" " + HOST, 1), _REFUSED),
}
FRAMING: Table = {**_LENGTHS, **_CODINGS, **_CHUNKS, **_STARTS}
