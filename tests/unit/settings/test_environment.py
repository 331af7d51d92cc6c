"""Settings: all mistakes are reported together at start, and no secret is shown."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from broker.profiles.profile import Profile
from broker.settings import SETTINGS, Settings, SettingsError, load
from broker.settings.table import REDIRECTING

GOOD = {"GEMINI_API_KEY": "AQ.test-0123456789", "BROKER_SECRET_KEY": secrets.token_hex(32)}
PLAN = '[plans.default]\nrate = "10/minute"\nsessions = 2\nminutes_per_day = 60\nsession_minutes = 30\n'
PROFILE = '[profiles.default]\nmodels = ["gemini-3.8-live"]\n[profiles.default.config]\nseed = 1\n'


def faults(environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(environ)
    return raised.value.faults


def fault(name: str, text: str) -> str:
    """The only fault, which must begin with the name of the variable."""
    found = faults({**GOOD, name: text})
    assert len(found) == 1, found
    assert found[0].startswith(name)
    return found[0]


def config_faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "broker.toml"
    path.write_text(text)
    return faults({**GOOD, "BROKER_CONFIG": str(path)})


def config(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "broker.toml"
    path.write_text(text)
    return load({**GOOD, "BROKER_CONFIG": str(path)})


def test_only_two_settings_are_required() -> None:
    settings = load(GOOD)
    assert settings.gemini_api_key.get_secret_value() == GOOD["GEMINI_API_KEY"]
    assert settings.live_url == "https://generativelanguage.googleapis.com"
    assert settings.database_url.get_secret_value() == "sqlite:///var/broker.sqlite3"
    assert (settings.redis_url, settings.port, settings.log_level) == (None, 8080, "INFO")
    assert not settings.standin
    assert settings.config.plans["default"].rate == "10/minute; 200/day"
    assert settings.config.project.sessions == 50


def test_each_setting_in_the_table_is_an_attribute() -> None:
    settings = load(GOOD)
    for setting in SETTINGS:
        assert hasattr(settings, setting.attribute), setting.name
        assert setting.help.endswith("."), setting.name


def test_all_faults_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text(PLAN.replace("sessions = 2", "sessions = 0") + PROFILE + "speed = 1\n[extra]\n")
    found = faults({"PORT": "http", "BROKER_LIVE_URL": "ftp://x", "BROKER_CONFIG": str(path)})
    named = [text.split(":")[0].split(" ")[0] for text in found]
    assert {"GEMINI_API_KEY", "BROKER_SECRET_KEY", "PORT", "BROKER_LIVE_URL"} <= set(named)
    for place in ("plans.default.sessions", "extra"):
        assert any(place in text for text in found), found


def test_faults_of_extra_checks_are_in_the_same_list(tmp_path: Path) -> None:
    """Profiles are checked even if a plan is invalid, so that operators see all faults at the first start."""
    path = tmp_path / "broker.toml"
    path.write_text(PLAN.replace("10/minute", "often") + PROFILE)

    def check(profiles: Mapping[str, Profile]) -> list[str]:
        return [f"{name} was checked" for name in profiles]

    with pytest.raises(SettingsError) as raised:
        load({**GOOD, "PORT": "0", "BROKER_CONFIG": str(path)}, checks=[check])
    text = str(raised.value)
    assert "default was checked" in text
    assert "PORT" in text
    assert "plans.default.rate" in text


ED25519, P256 = Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip())


def public_pem(key: Any) -> str:
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return str(public.decode().strip())


@pytest.mark.parametrize("key", [ED25519, P256], ids=["Ed25519", "P-256"])
def test_signing_key_is_a_private_key_in_pem(key: Any) -> None:
    settings = load(
        {
            **GOOD,
            "BROKER_SIGNING_KEY": pem(key).replace("\n", "\\n"),
            "BROKER_SIGNING_KEY_PREVIOUS": public_pem(key),
        }
    )
    assert settings.signing_keys == (pem(key), public_pem(key))
    assert pem(key).splitlines()[1] not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        public_pem(ED25519),
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ec.generate_private_key(ec.SECP384R1())),
        ED25519.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
        ).decode(),
        pem(ED25519)[:60],
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "0123456789abcdef" * 4,
    ],
    ids=["public", "RSA", "P-384", "encrypted", "cut off", "no key", "not PEM"],
)
def test_invalid_signing_key_is_rejected_without_quoting_it(text: str) -> None:
    message = fault("BROKER_SIGNING_KEY", text)
    assert "openssl genpkey" in message
    assert text.splitlines()[-1] not in message


def test_previous_secret_must_be_strong_and_different() -> None:
    assert fault("BROKER_SECRET_KEY_PREVIOUS", "a" * 64)
    assert fault("BROKER_SECRET_KEY_PREVIOUS", GOOD["BROKER_SECRET_KEY"])
    settings = load({**GOOD, "BROKER_SECRET_KEY_PREVIOUS": (older := secrets.token_hex(32))})
    assert settings.secret_keys == [GOOD["BROKER_SECRET_KEY"], older]
    same = {"BROKER_SIGNING_KEY": pem(P256), "BROKER_SIGNING_KEY_PREVIOUS": pem(P256)}
    assert faults({**GOOD, **same}) == [
        "BROKER_SIGNING_KEY_PREVIOUS must not be the same as BROKER_SIGNING_KEY"
    ]


def test_settings_and_faults_show_no_secret() -> None:
    canary = "canary-" + secrets.token_hex(20)
    settings = load(
        {
            "GEMINI_API_KEY": canary + "-api",
            "BROKER_SECRET_KEY": canary,
            "BROKER_DATABASE_URL": f"postgresql://me:{canary}@db/x",
            "BROKER_REDIS_URL": f"redis://:{canary}@cache",
        }
    )
    assert canary not in repr(settings) + str(settings)
    bad = {
        "GEMINI_API_KEY": f"{canary} {canary}",
        "BROKER_SECRET_KEY": canary[:20],
        "BROKER_DATABASE_URL": f"mysql://me:{canary}@db",
        "BROKER_REDIS_URL": f"http://:{canary}@cache",
        "BROKER_LIVE_URL": f"https://me:{canary}@generativelanguage.googleapis.com",
        "BROKER_ALLOWED_ORIGINS": f"https://me:{canary}@app.example",
    }
    text = "\n".join(faults(bad))
    assert all(name in text for name in bad)
    assert canary not in text
    assert canary[:20] not in text


@pytest.mark.parametrize(
    "key",
    [
        "short-but-random-8f3a",
        "a" * 64,
        "abcd" * 16,
        "12345678" * 8,
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "please-change-me-before-production-8f3a91c0",
        "<put 32 random bytes here, thank you very much>",
    ],
)
def test_weak_secret_key_is_rejected(key: str) -> None:
    assert "secrets.token_hex(32)" in fault("BROKER_SECRET_KEY", key)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_random_secret_key_is_accepted(size: int) -> None:
    for key in (secrets.token_hex(size), secrets.token_urlsafe(max(size, 24))):
        load({**GOOD, "BROKER_SECRET_KEY": key})


def test_secret_key_must_differ_from_api_key() -> None:
    key = secrets.token_hex(32)
    assert faults({"GEMINI_API_KEY": key, "BROKER_SECRET_KEY": key}) == [
        "BROKER_SECRET_KEY must not be the same as GEMINI_API_KEY"
    ]


@pytest.mark.parametrize("key", ["your-api-key", "auth_tokens/abcdefgh", "two words", "schlüssel-ä", "<key>"])
def test_invalid_api_key_is_rejected(key: str) -> None:
    fault("GEMINI_API_KEY", key)


@pytest.mark.parametrize("key", ["AIzaSyA-made-up", "AQ.Ab8RN6", "anything.else"])
def test_api_key_may_have_any_prefix_and_length(key: str) -> None:
    """Google changed the form of its keys in 2026.

    A check of the prefix would have rejected every new key.
    """
    load({**GOOD, "GEMINI_API_KEY": key})


def test_secret_can_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("AQ.from-a-file\n")
    settings = load({"BROKER_SECRET_KEY": GOOD["BROKER_SECRET_KEY"], "GEMINI_API_KEY_FILE": str(path)})
    assert settings.gemini_api_key.get_secret_value() == "AQ.from-a-file"


def test_secret_in_two_places_is_rejected(tmp_path: Path) -> None:
    found = faults({**GOOD, "GEMINI_API_KEY_FILE": str(tmp_path / "key")})
    assert found == ["GEMINI_API_KEY and GEMINI_API_KEY_FILE are both set; keep one"]


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_unusable_secret_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    environ = {"BROKER_SECRET_KEY": GOOD["BROKER_SECRET_KEY"], "GEMINI_API_KEY_FILE": str(path)}
    (found,) = faults(environ)
    assert found.startswith("GEMINI_API_KEY_FILE")
    assert str(path) in found


@pytest.mark.parametrize("name", REDIRECTING)
def test_variable_that_would_redirect_the_sdk_is_rejected(name: str) -> None:
    assert "redirect" in fault(name, "false")


@pytest.mark.parametrize("name", ["BROKER_SECRET", "BROKER_TRUSTED_PROXY", "BROKER_THREADS_FILE"])
def test_misspelled_setting_is_rejected(name: str) -> None:
    assert "is not a known setting" in fault(name, "1")


def test_kubernetes_service_links_are_not_settings() -> None:
    links = {"BROKER_SERVICE_HOST": "10.0.0.1", "BROKER_PORT": "tcp://10.0.0.1:80", "BROKER_PORT_80_TCP": "x"}
    load({**GOOD, **links})


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h:5432/d?sslmode=require", "postgresql+psycopg://u:p@h:5432/d?sslmode=require"),
        (
            "postgresql+psycopg:///d?host=/var/run/postgresql",
            "postgresql+psycopg:///d?host=/var/run/postgresql",
        ),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_database_url_is_converted_for_sqlalchemy(given: str, parsed: str) -> None:
    assert load({**GOOD, "DATABASE_URL": given}).database_url.get_secret_value() == parsed


@pytest.mark.parametrize(
    "url",
    ["mysql://h/d", "postgresql+psycopg2://h/d", "/var/db", "sqlite://", "sqlite:///:memory:", "postgres://"],
)
def test_unsupported_database_is_rejected(url: str) -> None:
    fault("BROKER_DATABASE_URL", url)


def test_own_name_takes_precedence_over_the_platforms_name() -> None:
    settings = load({**GOOD, "DATABASE_URL": "postgres://h/d", "BROKER_DATABASE_URL": "sqlite:///ours.db"})
    assert settings.database_url.get_secret_value() == "sqlite:///ours.db"
    assert load({**GOOD, "BROKER_REDIS_URL": "", "REDIS_URL": "redis://h"}).redis_url is not None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9090", "http://localhost:9090/", "https://[::1]:9090"])
def test_loopback_live_url_is_a_stand_in(url: str) -> None:
    settings = load({**GOOD, "BROKER_LIVE_URL": url})
    assert settings.standin
    assert settings.live_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://generativelanguage.googleapis.com",
        "https://generativelanguage.googleapis.com.evil.example",
        "https://googleapis.com.evil.example",
        "https://evil.example",
        "http://127.0.0.1.evil.example",
        "https://user@generativelanguage.googleapis.com",
        "https://generativelanguage.googleapis.com/v1beta",
        "https://generativelanguage.googleapis.com?x=1",
        "generativelanguage.googleapis.com",
        "https://a b.googleapis.com",
        "https://evil.example\\.googleapis.com",
        "http://[::1",
        "https://gen\u00e9rative.googleapis.com",
        "http://127.0.0.1:99999",
    ],
)
def test_live_url_must_be_google_or_loopback(url: str) -> None:
    fault("BROKER_LIVE_URL", url)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("capacitor://localhost", "capacitor://localhost"),
        ("ionic://localhost", "ionic://localhost"),
        ("Tauri://LocalHost", "tauri://localhost"),
        ("capacitor://voice.example:8100", "capacitor://voice.example:8100"),
        ("http://tauri.localhost", "http://tauri.localhost"),
        ("http://[0:0:0:0:0:0:0:1]:5173", "http://[::1]:5173"),
    ],
)
def test_origin_of_an_app_is_exact(origin: str, expected: str) -> None:
    assert load({**GOOD, "BROKER_ALLOWED_ORIGINS": origin}).allowed_origins == (expected,)


def test_origins_are_normalized_like_browsers_send_them() -> None:
    text = "https://App.example, https://app.example: http://localhost:5173"
    assert load({**GOOD, "BROKER_ALLOWED_ORIGINS": text}).allowed_origins == (
        "https://app.example",
        "http://localhost:5173",
    )


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://*.app.example", "https://app.example/", "http://app.example", "app.example",
     "https://app.example:443", "https://app.example?", "https://b\u00fccher.example", "file:///x",
     "capacitor://", "capacitor://*", "capacitor://localhost/", "javascript://localhost", "http://localhost.evil",
     "tauri://u:p@localhost"],
)  # fmt: skip
def test_inexact_origin_is_rejected(origin: str) -> None:
    fault("BROKER_ALLOWED_ORIGINS", origin)


@pytest.mark.parametrize("proxies", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "*", "proxy.example", "10.0.0.1/8"])
def test_too_wide_or_invalid_proxy_is_rejected(proxies: str) -> None:
    fault("BROKER_TRUSTED_PROXIES", proxies)


def test_proxies_are_networks() -> None:
    settings = load({**GOOD, "BROKER_TRUSTED_PROXIES": "10.0.0.0/8 fd00::/8,127.0.0.1"})
    assert [str(network) for network in settings.trusted_proxies] == [
        "10.0.0.0/8",
        "fd00::/8",
        "127.0.0.1/32",
    ]


@pytest.mark.parametrize("name", ["PORT", "WEB_CONCURRENCY", "BROKER_THREADS"])
@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "99999999999", "٣"])
def test_number_out_of_range_is_rejected(name: str, text: str) -> None:
    fault(name, text)


def test_log_level_is_converted_to_upper_case() -> None:
    assert load({**GOOD, "BROKER_LOG_LEVEL": "debug"}).log_level == "DEBUG"
    fault("BROKER_LOG_LEVEL", "loud")


def test_missing_or_invalid_config_file_is_named(tmp_path: Path) -> None:
    assert "cannot be read" in fault("BROKER_CONFIG", str(tmp_path / "nowhere.toml"))
    assert "is not TOML" in config_faults(tmp_path, "[plans")[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (PROFILE, "plans: is missing"),
        (PLAN, "profiles: is missing"),
        (PLAN.replace("plans.default", "plans.free") + PROFILE, "plans.default: is missing"),
        (PLAN + "[profiles]\n", "profiles: at least one"),
        (PLAN + PROFILE + '[profiles.a]\nplans = ["gold"]\n', "profiles.a.plans: there is no plan 'gold'"),
        (PLAN + PROFILE.replace("default", "a") + "[profiles.b]\n", "one must be named default"),
        (PLAN + PROFILE + "[profiles.a]\nmodel = 1\n", "profiles.a.model: is not a known key"),
        (PLAN + PROFILE + '[profiles.a]\nname = "b"\n', "a.name: is not a known key"),
        (PLAN + PROFILE + "[profiles.a]\nslice_seconds = 72000\n", "profiles.a.slice_seconds"),
        (PLAN + PROFILE + '[profiles.a]\nslice_seconds = "900"\n', "profiles.a.slice_seconds"),
        (PLAN + PROFILE + "[profiles.a]\nconnect_within_seconds = 1\n", "profiles.a.connect_within_seconds"),
        (PLAN + PROFILE + "[profiles.a]\nslice_seconds = 60\n", "connect_within_seconds: is longer"),
        (PLAN + PROFILE + '[profiles.a]\nlock = "none"\n', "profiles.a.lock"),
        (PLAN + PROFILE + "[profiles.a]\nwarm = -1\n", "profiles.a.warm"),
        (PLAN + PROFILE + "[profiles.a]\nwarm = 101\n", "profiles.a.warm"),
        (PLAN + PROFILE + "[profiles.a]\nwarm = true\n", "profiles.a.warm"),
        (PLAN + PROFILE + "[profiles.a]\nslice_seconds = 1781\nwarm = 1\n", "profiles.a.warm: has no effect"),
        (PLAN + PROFILE + '[profiles."A b"]\n', "profiles.A b"),
        (PLAN.replace("10/minute", "") + PROFILE, "plans.default.rate"),
        (PLAN.replace("10/minute", "0/minute") + PROFILE, "plans.default.rate"),
        (PLAN.replace("sessions = 2", "sessions = true") + PROFILE, "plans.default.sessions"),
        (
            "[project]\nsessions = 3\n" + PLAN + "reserved_sessions = 4\n" + PROFILE,
            "plans: reserved_sessions add up to 4; project.sessions is 3",
        ),
        (PLAN.replace("= 30", "= 1201") + PROFILE, "plans.default.session_minutes"),
        (PLAN + "forgiven_minutes_per_day = -1\n" + PROFILE, "plans.default.forgiven_minutes_per_day"),
        (PLAN + "forgiven_minutes_per_day = 1.5\n" + PROFILE, "plans.default.forgiven_minutes_per_day"),
        (PLAN + "forgiven_minutes_per_day = true\n" + PROFILE, "plans.default.forgiven_minutes_per_day"),
        (PLAN + PROFILE + '[[issuers]]\nname = "x"\nissuer = "http://x"\naudience = "a"\njwks_url = "https://x"\n',
         "issuers.0.issuer"),
        (PLAN + PROFILE + '[[issuers]]\nname = "x"\nissuer = "https://x"\naudience = "a"\njwks_url = "https://x"\n'
         'algorithms = ["HS256"]\n', "issuers.0.algorithms"),
    ],
)  # fmt: skip
def test_config_file_is_parsed_strictly(tmp_path: Path, text: str, place: str) -> None:
    found = config_faults(tmp_path, text)
    assert any(place in item for item in found), found
    assert all(item.startswith("broker.toml: ") for item in found)


def test_fault_does_not_repeat_the_value(tmp_path: Path) -> None:
    """An operator may paste a key into the file, and the fault goes to a log."""
    found = config_faults(tmp_path, PLAN + PROFILE + '[profiles.a]\nslice_seconds = "AQ.pasted-key"\n')
    assert "pasted" not in str(found)


def test_profiles_have_their_names(tmp_path: Path) -> None:
    settings = config(
        tmp_path, PLAN + PROFILE + '[profiles.tutor]\nplans = ["default"]\nslice_seconds = 600\n'
    )
    tutor = settings.config.profiles["tutor"]
    assert (tutor.name, tutor.slice_seconds, tutor.allows("default"), tutor.allows("gold")) == (
        "tutor", 600, True, False,
    )  # fmt: skip
