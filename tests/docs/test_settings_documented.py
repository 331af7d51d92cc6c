"""docs/settings.md lists exactly the settings that the code reads, with their defaults."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from broker.settings import SETTINGS, Price, document
from tests.docs.markdown import bare, rows, section


def test_every_setting_is_documented_with_default_and_help_text() -> None:
    documented = {
        bare(name): (bare(default), kind, help_text)
        for name, default, kind, help_text in rows(section("docs/settings.md", "## Environment"))
    }
    actual = {
        setting.name: (
            "required" if setting.required else setting.default or "none",
            setting.type,
            setting.help,
        )
        for setting in SETTINGS
    }
    assert documented == actual


def test_aliases_and_secret_files_are_documented() -> None:
    documented = {
        bare(name): (bare(alias), bare(file_name))
        for name, alias, file_name in rows(section("docs/settings.md", "## Other names"))
    }
    actual = {
        setting.name: (setting.alias or "", f"{setting.name}_FILE" if setting.secret else "")
        for setting in SETTINGS
        if setting.alias or setting.secret
    }
    assert documented == actual


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("### [project]", document.Project),
        ("### [plans.NAME]", document.Plan),
        ("### [teams.NAME]", document.Team),
        ("### [profiles.NAME]", document.ProfileSpec),
        ('### [prices."MODEL"]', Price),
        ("### [guests]", document.GuestSpec),
        ("### [[issuers]]", document.IssuerSpec),
    ],
)
def test_every_key_of_the_file_is_documented(heading: str, model: type[BaseModel]) -> None:
    documented = [bare(key) for key, _default, _help in rows(section("docs/settings.md", heading))]
    assert sorted(documented) == sorted(model.model_fields)
