"""Service keys: their format, the stored part, and the users that a key may act for."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import Refusal
from broker.identity import service_keys
from broker.identity.scopes import SCOPES
from broker.identity.service_keys import ServiceKey, ServiceKeys, check_subject, checksum, generate
from broker.principal import principal_key

PEPPER = b"p" * 32
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


class Kept:
    """A store of one key, in memory."""

    def __init__(self, key: ServiceKey) -> None:
        self.key = key
        self.asked: list[str] = []
        self.uses = 0

    def find(self, key_id: str) -> tuple[ServiceKey | None, datetime]:
        self.asked.append(key_id)
        return (self.key if key_id == self.key.id else None), NOW

    def used(self, key: ServiceKey, now: datetime) -> None:
        self.uses += 1

    def rehash(self, key_id: str, old_hmac: str, new_hmac: str) -> None:
        assert (key_id, old_hmac) == (self.key.id, self.key.secret_hmac)
        self.key = replace(self.key, secret_hmac=new_hmac)


def made(prefix: str | None = None, *, pepper: bytes = PEPPER) -> tuple[Kept, str]:
    key_id, secret, secret_hmac = generate(pepper)
    key = ServiceKey(key_id, "shop", secret_hmac, "default", frozenset(SCOPES), on_behalf_of_prefix=prefix)
    return Kept(replace(key, created_at=NOW)), secret


def refusal(store: Kept, presented: str) -> str:
    with pytest.raises(Refusal) as raised:
        ServiceKeys(store, [PEPPER]).verify(presented)
    assert not presented or presented not in repr(raised.value.__dict__)
    return raised.value.code


def test_key_has_a_prefix_a_public_id_and_a_secret_of_256_bits() -> None:
    seen = set()
    for _ in range(200):
        key_id, key, _ = generate(PEPPER)
        match = re.fullmatch(r"lbk_([a-z0-9]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", key)
        assert match
        assert match[1] == key_id
        seen |= {key_id, match[2]}
    assert len(seen) == 400


def test_stored_hash_reveals_nothing_and_depends_on_the_server() -> None:
    _, key, kept = generate(PEPPER)
    assert re.fullmatch("[0-9a-f]{64}", kept)
    assert kept == service_keys.keyed_hash(PEPPER, key)
    assert kept != service_keys.keyed_hash(b"q" * 32, key)
    store, secret = made()
    assert store.key.secret_hmac not in repr(store.key)
    assert secret not in repr(store.key)


def test_verification_records_the_use_of_the_key() -> None:
    store, secret = made()
    assert ServiceKeys(store, [PEPPER]).verify(secret) is store.key
    assert store.uses == 1


def test_typo_is_refused_without_a_store_query() -> None:
    store, secret = made()
    for place, letter in enumerate(secret):
        for wrong in ("x" if letter != "x" else "y", letter.swapcase()):
            if wrong != letter:
                assert refusal(store, secret[:place] + wrong + secret[place + 1 :]) == "invalid-token"
    assert store.asked == []


@pytest.mark.parametrize(
    "presented",
    ["", "lbk_", "lbk__", "nonsense", "lbk_" + "a" * 12, "é" * 66, "lbk_" + "a" * 12 + "_" + "٣" * 49],
)
def test_text_that_is_not_a_key_is_refused(presented: str) -> None:
    store, _ = made()
    assert refusal(store, presented) == "invalid-token"
    assert store.asked == []


def test_key_with_a_good_checksum_and_a_wrong_secret_is_refused() -> None:
    store, secret = made()
    body = secret[:-7] + ("x" if secret[-7] != "x" else "y")
    assert refusal(store, body + checksum(body)) == "invalid-token"
    assert store.asked == [store.key.id]
    assert store.uses == 0


def test_secret_of_another_key_is_refused() -> None:
    store, secret = made()
    _, other = made()
    body = secret[:17] + other[17:-6]
    assert refusal(store, body + checksum(body)) == "invalid-token"
    assert refusal(store, other) == "invalid-token"


def test_revoked_and_expired_keys_are_refused() -> None:
    store, secret = made()
    store.key = replace(store.key, expires_at=NOW + timedelta(seconds=1))
    assert ServiceKeys(store, [PEPPER]).verify(secret)
    store.key = replace(store.key, expires_at=NOW)
    assert refusal(store, secret) == "token-expired"
    store.key = replace(store.key, revoked_at=NOW)
    assert refusal(store, secret) == "invalid-token"


def test_only_the_holder_learns_that_a_key_has_expired() -> None:
    store, secret = made()
    store.key = replace(store.key, expires_at=NOW)
    body = secret[:-7] + ("x" if secret[-7] != "x" else "y")
    assert refusal(store, body + checksum(body)) == "invalid-token"


def test_key_stays_valid_after_the_server_secret_changes() -> None:
    store, secret = made(pepper=b"o" * 32)
    assert refusal(store, secret) == "invalid-token"
    assert ServiceKeys(store, [PEPPER, b"o" * 32]).verify(secret)
    assert ServiceKeys(store, [PEPPER]).verify(secret), "stored again under the current secret"


def test_key_is_its_own_principal() -> None:
    store, _ = made()
    principal = store.key.principal()
    assert (principal.issuer, principal.subject) == ("live-broker:key", store.key.id)
    assert principal.roles == frozenset()


def test_users_of_different_keys_are_different_principals() -> None:
    one, two = made("")[0].key, made("")[0].key
    keys = {one.acting_for("alice").key, two.acting_for("alice").key, principal_key("live-broker", "alice")}
    assert len(keys) == 3
    assert one.acting_for("alice").actor == one.principal()


def acting(prefix: str | None, subject: str) -> str:
    try:
        made(prefix)[0].key.acting_for(subject)
    except Refusal as refused:
        return refused.code
    return "ok"


ACUTE = "\N{COMBINING ACUTE ACCENT}"


@pytest.mark.parametrize(
    ("prefix", "subject", "outcome"),
    [
        (None, "alice", "forbidden"),
        (None, "", "forbidden"),
        ("", "alice", "ok"),
        ("", "\N{LATIN SMALL LETTER E WITH ACUTE}", "ok"),
        ("", "a b", "ok"),
        ("", "a" * 255, "ok"),
        ("", "", "invalid-field"),
        ("", "a" * 256, "invalid-field"),
        ("acme:", "acme:alice", "ok"),
        ("acme:", "acme:", "forbidden"),
        ("acme:", "acme", "forbidden"),
        ("acme:", "ACME:alice", "forbidden"),
        ("acme:", " acme:alice", "forbidden"),
        ("acme:", "evil:acme:alice", "forbidden"),
        ("acme:", "\N{CYRILLIC SMALL LETTER A}cme:alice", "forbidden"),
        ("acme:", "acme\N{FULLWIDTH COLON}alice", "forbidden"),
        ("acme:", "acme\N{RATIO}alice", "forbidden"),
        ("acme:", "\N{ZERO WIDTH SPACE}acme:alice", "invalid-field"),
        ("acme:", "acme:\N{ZERO WIDTH JOINER}alice", "invalid-field"),
        ("acme:", "acme:" + ACUTE + "alice", "forbidden"),
        ("acme:", "acme:../other:alice", "ok"),
        ("acme.*", "acmexalice", "forbidden"),
        ("acme%", "acmexalice", "forbidden"),
        ("cafe", "caf\N{LATIN SMALL LETTER E WITH ACUTE}1", "forbidden"),
        ("cafe", "cafe" + ACUTE + "1", "invalid-field"),
    ],
)
def test_key_acts_within_its_prefix_only(prefix: str | None, subject: str, outcome: str) -> None:
    assert acting(prefix, subject) == outcome


@pytest.mark.parametrize(
    "subject",
    [
        "e" + ACUTE,
        unicodedata.normalize("NFD", "Zoë"),
        "\N{ANGSTROM SIGN}",
        "\N{HANGUL CHOSEONG KIYEOK}\N{HANGUL JUNGSEONG A}",
        "ali\N{ZERO WIDTH SPACE}ce",
        "ali\N{ZERO WIDTH NON-JOINER}ce",
        "ali\N{SOFT HYPHEN}ce",
        "alice\N{VARIATION SELECTOR-16}",
        "alice\N{COMBINING GRAPHEME JOINER}",
        "alice\N{HANGUL FILLER}",
        "\N{RIGHT-TO-LEFT OVERRIDE}ecila",
        "\N{NO-BREAK SPACE}alice",
        "alice\U000e0061",
        "alice\U000e0101",
        "alice\0",
        "alice\n",
        "alice\x7f",
        "alice\ud800",
        "alice\ue000",
        "\N{ZERO WIDTH NO-BREAK SPACE}alice",
    ],
    ids=ascii,
)
def test_ambiguous_subject_is_refused(subject: str) -> None:
    with pytest.raises(Refusal) as raised:
        check_subject(subject)
    assert raised.value.code == "invalid-field"
    assert raised.value.extensions["fields"][0]["field"] == "on_behalf_of"
    assert subject not in str(raised.value.detail)


def test_case_and_similar_letters_are_different_users() -> None:
    key = made("")[0].key
    names = ["alice", "Alice", "\N{CYRILLIC SMALL LETTER A}lice", "\N{FULLWIDTH LATIN SMALL LETTER A}lice"]
    assert len({key.acting_for(name).key for name in names}) == len(names)
