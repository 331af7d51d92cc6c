"""`broker check --speak` and `--prove-lock`: the table, the JSON, the report and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.cli.main import cli
from broker.cli.proof.lock import Finding
from broker.cli.proof.questions import QUESTIONS, answers
from broker.cli.proof.report import ProfileReport, Report
from broker.errors import Refusal
from broker.standin import StandIn
from tests.proof.conftest import PROFILES, MakeMints
from tests.support.environment import environment, write_config


@pytest.fixture
def environ(fast: StandIn, tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path, fast.url, config=write_config(tmp_path, more=PROFILES))


def run(environ: dict[str, str], words: str) -> Result:
    return CliRunner().invoke(cli, ["check", *words.split()], env=environ)


def test_speech_is_measured(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    done = run(environ, f"--speak --profile total --json --report {path}")
    assert done.exit_code == 0, done.output
    (profile,) = json.loads(done.stdout)["profiles"]
    speech = profile["speech"]
    assert speech["outcome"] == "spoken"
    assert list(speech["milliseconds"]) == ["mint", "connect", "setup", "first audio"]
    assert speech["audio_seconds"] > 0.5
    assert "one, two, three" in speech["transcript"]
    assert speech["usage"]["totalTokenCount"] > 0
    assert "auth_tokens/" not in done.output
    page = path.read_text()
    assert "## Profile total" in page
    assert f"{speech['audio_seconds']} s" in page


@pytest.mark.long
def test_proof_is_a_page_and_json(environ: dict[str, str], tmp_path: Path) -> None:
    """Everything at once. The parts have their own tests."""
    path = tmp_path / "report.md"
    done = run(environ, f"--speak --prove-lock --profile default --json --report {path}")
    assert done.exit_code == 3, done.output
    report = json.loads(done.stdout)
    assert (report["status"], report["counts"]["broken"], report["counts"]["untried"]) == (3, 0, 1)
    (profile,) = report["profiles"]
    assert profile["mints"] > len(profile["findings"])
    assert len(report["questions"]) == len(QUESTIONS)
    page = path.read_text()
    for one in (*profile["findings"], *report["questions"]):
        assert f"| {' | '.join(one.values())} |" in page
    assert "auth_tokens/" not in done.output + page


def test_model_that_does_not_speak_is_no_pass(environ: dict[str, str]) -> None:
    done = run(environ, "--speak --profile dictation --json")
    assert done.exit_code == 3, done.output
    assert json.loads(done.stdout)["profiles"][0]["speech"]["outcome"] == "untried"


def test_speech_that_fails_is_a_failure(environ: dict[str, str], fast: StandIn) -> None:
    fast.control.scenario("refuse", close="voice")
    done = run(environ, "--speak --profile total")
    assert done.exit_code == 1
    assert "Speech failed: closed with 1007 no matching speaker voice" in done.stdout


def test_wrong_words_are_reported(environ: dict[str, str]) -> None:
    assert "no profile 'nowhere'" in run(environ, "--speak --profile nowhere").output
    assert "need --speak or --prove-lock" in run(environ, "--json").output


@pytest.mark.parametrize(
    ("outcomes", "status"), [(["held", "open"], 0), (["held", "untried"], 3), (["untried", "broken"], 1)]
)
def test_status_of_a_report(outcomes: list[str], status: int) -> None:
    findings = [Finding("tools", outcome, "seen") for outcome in outcomes]  # type: ignore[arg-type]
    report = Report("now", "1", "here", [ProfileReport("default", findings=findings)])
    assert report.status == status
    assert report.to_json()["status"] == status


def test_profile_without_a_model_fails_and_the_others_go_on(environ: dict[str, str], fast: StandIn) -> None:
    fast.control.scenario("models-without", models=["gemini-3.8-live"])
    done = run(environ, "--speak --profile total --profile default --json")
    assert done.exit_code == 1
    total, default = json.loads(done.stdout)["profiles"]
    assert total["fault"].startswith("no model: ")
    assert default["speech"]["outcome"] == "spoken"


def test_every_question_gets_an_answer(fast: StandIn, make_mints: MakeMints) -> None:
    first = {one.question: one.answer for one in answers(make_mints("default"))}
    assert list(first) == list(QUESTIONS)
    context, spent = next(iter(QUESTIONS)), "Does a spent token resume its session?"
    assert first[context] == "yes, although the token locks the instruction"
    assert first[spent] == "yes"
    assert not any("could not" in answer for answer in first.values()), first
    fast.control.scenario("context-update-locked")
    fast.control.scenario("resume-counted")
    fast.control.scenario("refused-setup-free")
    fast.control.scenario("v1-tokens")
    other = {one.question: one.answer for one in answers(make_mints("default"))}
    assert other[context] == "accepted, without an effect on the instruction"
    assert other[spent].startswith("no, closed with 1011")
    assert other["Does a refused setup spend the token?"] == "no"
    assert other["Does v1 mint tokens?"] == "yes"


def test_a_refused_model_is_known_before_a_token_is_minted(fast: StandIn, make_mints: MakeMints) -> None:
    fast.control.scenario("models-without", models=["gemini-3.8-live"])
    with pytest.raises(Refusal):
        make_mints("total")
