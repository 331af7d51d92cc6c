"""`broker check FILE` and `--diff OLD`: a configuration is checked without an environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.cli.main import cli
from tests.support.environment import SHIPPED

OLD = """
[plans.default]
rate = "10/minute"
sessions = 2
minutes_per_day = 60
session_minutes = 30
[plans.paid]
rate = "20/minute"
sessions = 2
minutes_per_day = 60
session_minutes = 30
[profiles.default]
models = ["gemini-3.8-live"]
[profiles.default.config]
response_modalities = ["AUDIO"]
system_instruction = "Be brief."
[profiles.extra]
models = ["gemini-3.8-live"]
plans = ["paid"]
[profiles.extra.config]
response_modalities = ["AUDIO"]
temperature = 0.5
[[issuers]]
name = "auth"
issuer = "https://auth.example/"
audience = "voice"
jwks_url = "https://auth.example/keys"
"""


def check(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, words)], env={"BROKER_SECRET_KEY": "short"})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(OLD)
    new.write_text(OLD)
    return old, new


def test_shipped_file_is_valid_without_an_environment() -> None:
    done = check(SHIPPED)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"ok    {SHIPPED}\n"


def test_every_fault_is_listed(files: tuple[Path, Path]) -> None:
    _old, new = files
    new.write_text(OLD.replace("sessions = 2", "sessions = 0", 1).replace('["AUDIO"]', '["TEXT"]', 1))
    done = check(new)
    assert done.exit_code != 0
    faults = str(done.exception)
    assert f"{new}: plans.default.sessions: " in faults
    assert f"{new}: profiles.default.config.response_modalities: must be" in faults


def test_missing_file_is_reported(tmp_path: Path) -> None:
    assert "cannot be read" in str(check(tmp_path / "nowhere.toml").exception)


def test_model_without_a_price_is_a_warning(files: tuple[Path, Path]) -> None:
    done = check(files[1])
    assert done.exit_code == 0
    assert "WARN  broker.toml: prices: there is no price for gemini-3.8-live" in done.stderr


def test_default_that_is_written_out_is_no_change(files: tuple[Path, Path]) -> None:
    old, new = files
    new.write_text(OLD.replace("[profiles.default]\n", '[profiles.default]\nlock = "mask"\nplans = ["*"]\n'))
    done = check(new, "--diff", old)
    assert (done.exit_code, done.stdout) == (0, "Nothing changes.\n")


def test_each_change_names_whom_it_concerns(files: tuple[Path, Path]) -> None:
    old, new = files
    text = OLD.replace("10/minute", "5/minute").replace("temperature = 0.5", "seed = 1")
    text = text.replace('"Be brief."', '"Be long."').replace('name = "auth"', 'name = "other"')
    new.write_text(text + "[guests]\nenabled = true\n[project]\nsessions = 7\n")
    done = check(new, "--diff", old)
    assert done.exit_code == 1
    assert sorted(done.stdout.splitlines()) == [
        "added   issuers.other  (users of the issuer other)",
        "added   profiles.extra.config.seed: 1  (users of the plans paid with the profile extra)",
        "changed guests.enabled: False -> True  (guests)",
        "changed plans.default.rate: 10/minute -> 5/minute  (users of the plan default)",
        "changed profiles.default.config.system_instruction: Be brief. -> Be long.  "
        "(everyone with the profile default)",
        "changed project.sessions: 50 -> 7  (everyone)",
        "removed issuers.auth  (users of the issuer auth)",
        "removed profiles.extra.config.temperature: 0.5  (users of the plans paid with the profile extra)",
    ]


def test_changed_price_is_json_too(tmp_path: Path) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    text = SHIPPED.read_text()
    old.write_text(text)
    at = text.index('[prices."')
    first = text.index("= ", at)
    end = text.index("\n", first)
    model = text[at + 9 : text.index('"', at + 9)]
    new.write_text(text[:first] + "= 99.5" + text[end:])
    done = check(new, "--diff", old, "--json")
    assert done.exit_code == 1, done.output
    (change,) = json.loads(done.stdout)
    assert change["kind"] == "changed"
    assert change["key"].startswith(f"prices.{model}.")
    assert change["after"] == "99.5"
    assert change["concerns"] == f"sessions with {model}"


def test_wrong_words_are_reported(files: tuple[Path, Path]) -> None:
    old, new = files
    assert "--diff needs FILE" in check("--diff", old).output
    assert "can be combined with --json only" in check(new, "--speak").output
