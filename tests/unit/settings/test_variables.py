"""Variables as real machines set them: quotes of env files, service links, pipes and byte order marks."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from broker.settings import SettingsError, load
from broker.settings.document import SHIPPED

GOOD = {"GEMINI_API_KEY": "AQ.test-0123456789", "BROKER_SECRET_KEY": secrets.token_hex(32)}


def faults(more: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load({**GOOD, **more})
    return raised.value.faults


@pytest.mark.parametrize("name", sorted(GOOD))
@pytest.mark.parametrize("quotes", ['""', "''", "“”"])
def test_quotes_that_an_env_file_kept_are_a_fault(name: str, quotes: str) -> None:
    (found,) = faults({name: f"{quotes[0]}{GOOD[name]}{quotes[1]}"})
    assert found == f"{name} is in quotes; remove them, because they would be part of the secret"


def test_quotes_in_a_secret_file_are_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f'"{GOOD["BROKER_SECRET_KEY"]}"\n')
    (found,) = faults({"BROKER_SECRET_KEY": "", "BROKER_SECRET_KEY_FILE": str(path)})
    assert found.startswith("BROKER_SECRET_KEY_FILE is in quotes")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_SERVICE_HOST", "10.0.0.1"),
        ("BROKER_PORT", "tcp://10.0.0.1:80"),
        ("BROKER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("BROKER_POSTGRESQL_SERVICE_HOST", "10.0.0.2"),
        ("BROKER_POSTGRESQL_PORT", "tcp://10.0.0.2:5432"),
        ("BROKER_POSTGRESQL_PORT_5432_TCP", "tcp://10.0.0.2:5432"),
        ("BROKER_POSTGRESQL_PORT_5432_TCP_PROTO", "tcp"),
        ("BROKER_REDIS_MASTER_SERVICE_PORT", "6379"),
        ("BROKER_REDIS_MASTER_SERVICE_PORT_TCP_REDIS", "6379"),
        ("BROKER_DNS_PORT_53_UDP_PORT", "53"),
    ],
)
def test_service_links_of_kubernetes_are_not_settings(name: str, value: str) -> None:
    load({**GOOD, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_PORT", "8081"),
        ("BROKER_HTTP_PORT", "80"),
        ("BROKER_SERVICE", "x"),
        ("BROKER_REDIS_HOST", "x"),
    ],
)
def test_name_that_only_resembles_a_service_link_is_a_fault(name: str, value: str) -> None:
    (found,) = faults({name: value})
    assert found.startswith(f"{name} is not a known setting")


@pytest.mark.parametrize("name", ["GEMINI_API_KEY_FILE", "BROKER_CONFIG"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "missing", "large"])
def test_file_that_is_no_ordinary_file_is_a_fault_and_never_waited_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    path = {"device": Path("/dev/zero")}.get(kind, tmp_path / "file")
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "folder":
        path.mkdir()
    if kind == "large":
        path.write_bytes(b"#" * (2 << 20))
    more = {"GEMINI_API_KEY": ""} if name == "GEMINI_API_KEY_FILE" else {}
    (found,) = faults({**more, name: str(path)})
    assert found.startswith(f"{name}: {path} cannot be read (")


def test_byte_order_mark_is_not_part_of_a_file(tmp_path: Path) -> None:
    bom = "\ufeff"
    key, config = tmp_path / "key", tmp_path / "broker.toml"
    key.write_text(bom + GOOD["GEMINI_API_KEY"], encoding="utf-8")
    config.write_text(bom + SHIPPED.read_text(), encoding="utf-8")
    settings = load(
        {**GOOD, "GEMINI_API_KEY": "", "GEMINI_API_KEY_FILE": str(key), "BROKER_CONFIG": str(config)}
    )
    assert settings.gemini_api_key.get_secret_value() == GOOD["GEMINI_API_KEY"]


def test_home_folder_of_a_user_without_one_is_a_fault() -> None:
    (found,) = faults({"BROKER_CONFIG": "~nobody-of-that-name/broker.toml"})
    assert found.startswith("BROKER_CONFIG begins with ~")


@pytest.mark.parametrize(
    "host",
    [".googleapis.com", "a..googleapis.com", "-a.googleapis.com", "a_b.googleapis.com", "googleapis.com"],
)
def test_live_url_needs_a_real_host_name(host: str) -> None:
    (found,) = faults({"BROKER_LIVE_URL": f"https://{host}"})
    assert found.startswith("BROKER_LIVE_URL must be Google")
    load({**GOOD, "BROKER_LIVE_URL": "https://us-central1.generativelanguage.googleapis.com"})


@pytest.mark.parametrize("text", ["", " ", "1.5", "0", "-1", "two", "0x2", "1_0", "٣", "65"])
def test_number_of_workers_that_gunicorn_could_not_use_is_a_fault(text: str) -> None:
    (fault,) = faults({"WEB_CONCURRENCY": text})
    assert fault.startswith("WEB_CONCURRENCY ")
