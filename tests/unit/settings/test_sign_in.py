"""The keys of `[[issuers]]` for sign-in in the browser, and their client secrets."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from broker.settings import Settings, SettingsError, load
from tests.support.environment import environment, write_config
from tests.support.provider import entry

NAME = "BROKER_OIDC_LOCAL_SECRET"


def read(folder: Path, *, env: dict[str, str] | None = None, **more: Any) -> Settings:
    config = write_config(folder, more=entry("local", "https://id.example", **more))
    return load({**environment(folder, "http://127.0.0.1:9", config=config), **(env or {})})


def faults(folder: Path, *, env: dict[str, str] | None = None, **more: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, env=env, **more)
    return "\n".join(caught.value.faults)


def test_issuer_without_client_id_has_no_browser_sign_in(tmp_path: Path) -> None:
    assert not read(tmp_path, client_id=None).config.issuers[0].signs_in_browsers
    assert not read(tmp_path, mode="audit").config.issuers[0].signs_in_browsers
    assert read(tmp_path).config.issuers[0].signs_in_browsers


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_id": None, "label": "x"}, "label: needs client_id"),
        ({"client_id": None, "scopes": ["openid"]}, "scopes: needs client_id"),
        ({"client_id": None, "client_secret_env": "X"}, "client_secret_env: needs client_id"),
        ({"client_secret_env": "local"}, "client_secret_env: must be the NAME"),
        ({"client_secret_env": "A B"}, "client_secret_env: must be the NAME"),
        ({"client_secret": "x"}, "client_secret: is not a known key"),
        ({"scopes": ["profile"]}, "scopes: must contain openid"),
        ({"scopes": []}, "scopes: must contain openid"),
        ({"scopes": ["openid profile"]}, "must be one scope"),
        ({"scopes": ["openid", 'a"b']}, "must be one scope"),
        ({"label": ""}, "label"),
        ({"label": "x" * 41}, "label"),
        ({"label": "a\nb"}, "label: must be printable"),
        ({"authorization_endpoint": "https://id.example/a"}, "token_endpoint: must be set together"),
        ({"token_endpoint": "https://id.example/a"}, "token_endpoint: must be set together"),
        (
            {"authorization_endpoint": "http://id.example/a", "token_endpoint": "https://id.example/"},
            "https://",
        ),
        (
            {"authorization_endpoint": "https://id.example/a", "token_endpoint": "https://10.0.0.1/"},
            "private",
        ),
        ({"kind": "attestation"}, "client_id: an attestation"),
    ],
)
def test_fault_names_its_place(tmp_path: Path, more: dict[str, Any], place: str) -> None:
    assert place in faults(tmp_path, **more)


def test_client_secret_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    secret = secrets.token_urlsafe(24)
    settings = read(tmp_path, client_secret_env="LOCAL", env={NAME: secret})
    assert settings.client_secrets["local"].get_secret_value() == secret
    assert secret not in repr(settings)
    path = tmp_path / "secret"
    path.write_text(secret + "\n")
    settings = read(tmp_path, client_secret_env="LOCAL", env={f"{NAME}_FILE": str(path)})
    assert settings.client_secrets["local"].get_secret_value() == secret


def test_missing_client_secret_is_a_fault(tmp_path: Path) -> None:
    assert f"{NAME} (or {NAME}_FILE) is not set" in faults(tmp_path, client_secret_env="LOCAL")
    both = {NAME: "a", f"{NAME}_FILE": "b"}
    assert "are both set" in faults(tmp_path, client_secret_env="LOCAL", env=both)


def test_unused_client_secret_is_a_fault(tmp_path: Path) -> None:
    secret = secrets.token_urlsafe(24)
    found = faults(tmp_path, env={NAME: secret})
    assert f"{NAME} is not a known setting" in found
    assert secret not in found
    assert "BROKER_OIDC_LOCAL is not a known setting" in faults(tmp_path, env={"BROKER_OIDC_LOCAL": "x"})


def test_client_secret_must_be_printable_ascii(tmp_path: Path) -> None:
    assert "must be printable ASCII" in faults(
        tmp_path, client_secret_env="LOCAL", env={NAME: "gehei\u00dfnis"}
    )
